"""The plotter of Lossatlas: draws surface files and training histories. Started by tools/plot.

The modules, each using only those above it:

errors     what the user can mend
reading    HDF5 files in: coordinates, fields, histories (h5py)
wording    what the figures say: titles, axis labels, notes
scales     the value axis: linear or logarithmic, cuts, levels, tick labels
summary    the numbers that the program has of a surface, as short facts
points     which points are values, and what stands in for missing ones
style      fonts, colours, the page and where things stand on it (matplotlib)
planes     contour, contourf and heat
relief     the surface in 3D
multiples  the planes of all draws side by side
curves     lines and histories
saving     figures out: deterministic bytes, whole files or none
figures    the figure that the options ask for
run_files  what belongs to a run
report     all that a run made on one page
watching   figures drawn anew while a sweep runs
command    the command line
"""
