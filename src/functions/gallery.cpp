#include "functions/gallery.h"

#include <algorithm>

namespace lossatlas {

const std::vector<NamedFunction>& gallery() {
  static const std::vector<NamedFunction> functions{
      {"hills",
       "local maxima of many heights: where an ascent ends depends on where it starts",
       "25*sin(x) - x^2",
       {{-15, 15}},
       {5},
       true,
       {{{1.4541965749766173}, 22.71556099678873}}},
      {"stairs",
       "rises everywhere, with slope 0 at odd multiples of pi: descent creeps there and never turns",
       "x + sin(x)",
       {{-12, 12}},
       {2.5},
       false,
       {}},
      {"waves",
       "a growing wave: the learning rate decides between settling and jumping to and fro",
       "x*sin(x)",
       {{-12, 12}},
       {2.5},
       true,
       {}},
      {"rosenbrock",
       "a narrow bent valley: falling into it is easy, following it is not (Rosenbrock 1960)",
       "(1 - x)^2 + 100*(y - x^2)^2",
       {{-2, 2}, {-1, 3}},
       {-1.5, 2},
       false,
       {{{1, 1}, 0}}},
      {"himmelblau",
       "four minima of the same depth (Himmelblau 1972)",
       "(x^2 + y - 11)^2 + (x + y^2 - 7)^2",
       {{-5, 5}, {-5, 5}},
       {0, 0},
       false,
       {{{3, 2}, 0},
        {{-2.805118086952745, 3.131312518250573}, 0},
        {{-3.779310253377747, -3.283185991286170}, 0},
        {{3.584428340330492, -1.848126526964404}, 0}}},
      {"beale",
       "flat floor and steep walls at the corners (Beale 1958)",
       "(1.5 - x + x*y)^2 + (2.25 - x + x*y^2)^2 + (2.625 - x + x*y^3)^2",
       {{-4.5, 4.5}, {-4.5, 4.5}},
       {1, 1.5},
       false,
       {{{3, 0.5}, 0}}},
      {"rastrigin",
       "a bowl full of regular dents (Rastrigin 1974)",
       "20 + x^2 - 10*cos(2*pi*x) + y^2 - 10*cos(2*pi*y)",
       {{-5.12, 5.12}, {-5.12, 5.12}},
       {2.2, -3.3},
       false,
       {{{0, 0}, 0}}},
      {"ackley",
       "an almost flat plain of dents around one deep hole (Ackley 1987)",
       "20 + e - 20*exp(-0.2*sqrt((x^2 + y^2)/2)) - exp((cos(2*pi*x) + cos(2*pi*y))/2)",
       {{-5, 5}, {-5, 5}},
       {2.7, -3.4},
       false,
       {{{0, 0}, 0}}},
      {"saddle",
       "down one way, up the other: slope 0 in the middle, and no minimum",
       "x^2 - y^2",
       {{-2, 2}, {-2, 2}},
       {-1.8, 0.001},
       false,
       {}},
      {"ravine",
       "twenty times as steep across as along: plain descent zigzags or crawls",
       "0.5*x^2 + 10*y^2",
       {{-11, 3}, {-3, 3}},
       {-10, 2},
       false,
       {{{0, 0}, 0}}},
  };
  return functions;
}

const NamedFunction* find_function(const std::string& name) {
  const auto& all = gallery();
  const auto found = std::find_if(all.begin(), all.end(), [&](const NamedFunction& f) { return f.name == name; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace lossatlas
