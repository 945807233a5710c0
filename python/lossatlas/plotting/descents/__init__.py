"""What optimizers do on a function of one or two variables.

words    what is said of it: titles, ends, derivatives
looks    colours, markers and the legend
curve    a function of one variable, the steps on it, tangents
plane    a function of two variables from above, the paths on it, gradients
solid    the same in 3D, with tangent planes
stage    the function with all descents, whole or as they stood after some steps
panels   one panel for each optimizer and rate
steps    values, positions and effective learning rates over the steps
figures  the figure of a kind
"""
