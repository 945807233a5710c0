"""The page: files drawn as one self-contained HTML document that the reader turns and explores.

records    the parts that pages are made of, as JSON has them
content    what a page of surfaces or curves holds: values, scales, words
descent    the same of optimizers on functions
scripts    the modules in JavaScript, made one script
document   the page around it: template, style and script put into one text

The modules in JavaScript; each says what it imports:

elements.js elements of the page
data.js     what the page holds, decoded; value scales; numbers as text
pen.js      small help for drawing on a plain canvas
mesh.js     the triangles and contour lines of a surface
scene.js    the renderer (WebGL 2)
camera.js   the eye that turns around the box
tangent.js  tangent planes and gradients of a function
lines.js    lines, discs and paths in the scene
pointer.js  the 3D pane under a mouse or fingers
stage.js    the 3D pane
map.js      the plane seen from above
chart.js    curves over one coordinate
theme.js    light and dark
picture.js  the view as a PNG
slice.js    the slice over the map, and its chart
keys.js     the page of surfaces without a mouse
app.js      the page of surfaces
curves.js   the page of lines, paths and histories
descent.js  the page of descents on a function of one variable
start.js    the page that the data asks for
"""
