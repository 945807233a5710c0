"""The plotter of Lossatlas: draws surface files and training histories. Started by tools/plot.

The modules, each using only those above it:

errors        what the user can mend
reading       HDF5 files in: coordinates, fields, histories (h5py)
wording       what the figures say: titles, axis labels, facts, notes
marks         trajectories, marked checkpoints and curves of a file
scales        the value axis: linear or logarithmic, cuts, levels, tick labels
summary       the numbers that the program has of a surface, as short facts
points        which points are values, and what stands in for missing ones
style         themes, fonts, colours, the page and where things stand on it (matplotlib)
overlay       marks drawn over a plane
planes        contour, contourf and heat
trajectories  a plane with its runs, and what the plane cannot show
multiples     several planes side by side
raster        a height field as an image: what hides what, light, contours
frame         the box around a sheet in 3D: its place on the page, ticks and labels
relief        the surface in 3D: the sheet in its box, and its marks
curves        charts of curves with one or more panels
descents      optimizers on functions of one or two variables
descents3d    the same in 3D
charts        which curves the charts of lines, paths and histories show
saving        figures out: deterministic bytes, whole files or none
figures       the figure that the options ask for
run_files     what belongs to a run
report        all that a run made on one page
watching      figures drawn anew while a sweep runs
command       the command line
"""
