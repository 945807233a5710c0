"""The plotter of Lossatlas: draws surface files and training histories. Started by tools/plot.

The modules, each using only those above it:

errors         what the user can mend
messages       lines on standard error
wording        what the figures say: titles, axis labels, facts, notes
scales         the value axis: linear or logarithmic, cuts, levels, tick labels
options        what the user chose
points         which points are values, and what stands in for missing ones
fields         one value over a grid
hdf5           HDF5 files opened (h5py)
surfaces       files of surfaces, lines and curves
histories      files of training histories
functions      files of functions and descents
curvature_files curvatures at one point, the sharpness of checkpoints
reading        any of these files, opened
marks          trajectories, marked checkpoints and curves of a file
summary        the numbers that the program has of a surface, as short facts
run_files      what belongs to a run
style          themes, fonts, colours, the page and where things stand on it (matplotlib)
saving         figures out: deterministic bytes, whole files or none
heads          what stands above and below a figure of some files
smooth         a smooth surface through the points
overlay        marks drawn over a plane
contour_labels values written on contour lines
planes         contour, contourf and heat
trajectories   a plane with its runs, and what the plane cannot show
multiples      several planes side by side
raster         a height field as an image: what hides what, light, contours
frame          the box around a sheet in 3D: its place on the page, ticks and labels
relief         the surface in 3D: the sheet in its box, and its marks
curves         figures of curves with one or more panels
plane_figures  the figures of planes
charts         the figures of lines, curves and histories
report_page    the HTML of a report
curvature_figures the figures of curvatures and sharpness
descents       the figures of optimizers on functions of one or two variables
animation      figures that move
kinds          the kinds of figures, and which of them is drawn
page           pages to explore
figures        what the options ask for, drawn and written
report         all that a run made on one page
watching       figures redrawn while a sweep runs
command        the command line
"""
