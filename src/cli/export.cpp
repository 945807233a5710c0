#include <algorithm>
#include <cmath>
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/message.h"
#include "export/grid_file.h"
#include "export/npz.h"
#include "export/paths.h"
#include "export/poly_data.h"
#include "export/relief.h"
#include "export/solid.h"
#include "export/tables.h"
#include "jobs/outputs.h"

namespace lossatlas {
namespace {

const std::vector<std::string> kFormats{"vtp", "stl", "obj", "csv", "npz"};

struct ExportWords {
  std::filesystem::path file, out;
  std::string format;  // "" : what `out` ends in
  std::string field;   // "" : the loss
  std::optional<std::size_t> draw;
  std::vector<std::string> at;  // "z=0.5"
  HeightOptions heights;
  double zscale = 1;
  double side = 100;           // millimetres
  std::optional<double> base;  // millimetres; a small part of `side`
  bool force = false;
};

std::string format_of(const ExportWords& words) {
  if (!words.format.empty()) return words.format;
  const std::string extension = words.out.extension().string();
  for (const auto& format : kFormats) {
    if (extension == "." + format) return format;
  }
  throw UsageError("--out {}: ends in none of .{}; choose one with --to", words.out.string(),
                   fmt::join(kFormats, ", ."));
}

/// Refuses options that a format has no use for: a table holds the values as they are.
void check_options(const CLI::App& command, const ExportWords& words, const std::string& format) {
  const bool is_solid = format == "stl" || format == "obj", is_mesh = is_solid || format == "vtp";
  const auto refuse = [&](const char* option, bool fits, const char* why) {
    if (!fits && command.get_option(option)->count() > 0) throw UsageError("{}: {} {}", option, format, why);
  };
  for (const char* option : {"--field", "--at", "--log", "--zmax", "--interp", "--zscale"}) {
    refuse(option, is_mesh, "holds all values as they are");
  }
  for (const char* option : {"--size", "--base"}) refuse(option, is_solid, "has no millimetres");
  refuse("--draw", format != "npz", "holds all draws");
  if (words.heights.zmax && !std::isfinite(*words.heights.zmax)) throw UsageError("--zmax: requires a finite number");
}

std::vector<FixedAxis> fixed_axes(const std::vector<std::string>& words) {
  std::vector<FixedAxis> axes;
  for (const std::string& word : words) {
    const auto parts = split_at(word, '=');
    double coordinate = 0;
    if (parts.size() != 2 || !CLI::detail::lexical_cast(std::string(parts[1]), coordinate) ||
        !std::isfinite(coordinate)) {
      throw UsageError("--at {}: is not an axis and a number, as in z=0.5", word);
    }
    axes.push_back({std::string(parts[0]), coordinate});
  }
  return axes;
}

/// F.vtp -> F-paths.vtp: where the paths of a trajectory go.
std::filesystem::path paths_file(const std::filesystem::path& out) {
  auto name = out.stem();
  return out.parent_path() / (name += "-paths").concat(out.extension().string());
}

void say_left_out(const ExportWords& words, const std::vector<std::string>& notes) {
  for (const auto& note : notes) print_message(fmt::format("note: {}: {}", words.file.string(), note));
}

/// The grid, or of one of more axes the slice of --at.
GridFile read_plane(const ExportWords& words, const std::string& format) {
  GridFile grid = read_grid_file(words.file, words.draw);
  say_left_out(words, take_slice(grid, fixed_axes(words.at)));
  if (grid.axes.size() > 2) {
    throw UsageError("--at: {} has {} axes, and {} takes two: fix the others, as in --at {}=0", words.file.string(),
                     grid.axes.size() + words.at.size(), format, grid.axes.back().name);
  }
  return grid;
}

void say_notes(const Relief& relief) {
  for (const auto& note : relief.notes) print_message(fmt::format("note: {}: {}", relief.field, note));
}

void export_mesh(const ExportWords& words, const std::string& format, const std::vector<Path>& paths) {
  const GridFile grid = read_plane(words, format);
  Relief relief = relief_of(grid, grid.field(words.field), words.heights);
  if (format == "vtp") {
    const auto others = words.heights.interpolate > 0 ? std::vector<Column>{} : grid.fields;
    if (!others.empty()) say_left_out(words, grid.left_out);
    write_vtp(words.out, surface_mesh(relief, others, words.zscale));
    if (!paths.empty()) write_vtp(paths_file(words.out), paths_on_surface(paths, relief, words.zscale, relief.notes));
    return say_notes(relief);
  }
  constexpr double kReliefOfSide = 0.4, kBaseOfSide = 0.03;
  const SolidSize size{words.side, words.zscale * kReliefOfSide * words.side,
                       words.base.value_or(kBaseOfSide * words.side)};
  const Solid solid = solid_of(relief, size);
  const std::string title = fmt::format("{} of {}, by Lossatlas", relief.field, words.file.filename().string());
  format == "stl" ? write_stl(words.out, solid, title) : write_obj(words.out, solid, title);
  say_notes(relief);
  const auto lower = [](const auto& a, const auto& b) { return a[2] < b[2]; };
  const auto highest = std::max_element(solid.points.begin(), solid.points.end(), lower);  // the base is on z = 0
  print_message(fmt::format("{} triangles; {:.4g} x {:.4g} x {:.4g} mm", solid.triangles.size(),
                            solid.points[relief.z.size() - 1][0] - solid.points[0][0],
                            solid.points[relief.z.size() - 1][1] - solid.points[0][1], (*highest)[2]));
}

int export_file(const ExportWords& words, const CLI::App& command) {
  const std::string format = format_of(words);
  check_options(command, words, format);
  check_output("--out", words.out, words.force);
  check_apart({{"--out", words.out}}, {words.file});
  std::vector<std::filesystem::path> written{words.out};
  if (format == "npz") {
    say_left_out(words, write_npz(words.out, words.file));
  } else {
    auto paths = format == "vtp" || format == "csv" ? read_paths(words.file) : std::vector<Path>{};
    if (!words.at.empty() && !paths.empty()) {
      say_left_out(words, {"marked checkpoints are left out of a slice"});
      paths.clear();
    }
    if (!paths.empty()) {
      written.push_back(paths_file(words.out));
      check_output("--out", written.back(), words.force);
      check_apart({{"--out", words.out}, {"the paths of --out", written.back()}}, {words.file});
    }
    for (const Path& path : paths) say_left_out(words, path.left_out);
    if (format == "csv") {
      const GridFile grid = read_grid_file(words.file, words.draw);
      say_left_out(words, grid.left_out);
      write_csv(words.out, grid);
      if (!paths.empty()) write_csv(written.back(), paths);
    } else {
      export_mesh(words, format, paths);
    }
  }
  for (const auto& file : written) fmt::print("{}\n", file.string());
  return kDone;
}

}  // namespace

void add_export(CLI::App& app, CommandContext& context) {
  auto* command = app.add_subcommand("export", "Write a surface for ParaView, Blender, printers, tables or NumPy");
  const auto words = std::make_shared<ExportWords>();
  command->add_option("file", words->file, "a surface, line, curve or history, ours or of tomgoldstein/loss-landscape")
      ->required()
      ->type_name("S.h5");
  command->option_defaults()->group("Output");
  command->add_option("--out", words->out, "the file to write; a missing folder is made")->required()->type_name("F");
  command->add_option("--to", words->format, "the format: vtp, stl, obj, csv or npz (default: the extension of --out)")
      ->check(CLI::IsMember(kFormats));
  command->option_defaults()->group("Values");
  command->add_option("--field", words->field, "the value that gives the height (default: the loss)")
      ->type_name("NAME");
  command
      ->add_option("--draw", words->draw,
                   "one of several draws of directions (--repeat), lines of a fan (--lines) or numbers of images "
                   "(--tolerance), counted from 1 (default: the mean or sum that the file holds)")
      ->transform(whole_number(1, 1'000'000))
      ->type_name("K");
  command->add_option("--at", words->at, "of three or more axes, the slice at these coordinates (default: 0)")
      ->delimiter(',')
      ->type_name("z=V,...");
  command->option_defaults()->group("Height and size");
  command->add_flag("--log", words->heights.log, "draw the height ln(z + 0.1)");
  command
      ->add_option("--zmax", words->heights.zmax,
                   "values above Z become Z, as do those that are not finite (default: off)")
      ->type_name("Z");
  command
      ->add_option("--interp", words->heights.interpolate,
                   "a bicubic spline through the values, with N x N points (default: off)")
      ->transform(whole_number(2, 4096))
      ->type_name("N");
  command->add_option("--zscale", words->zscale, "multiplies the height, which is 40 % of --size for stl and obj")
      ->check(above_zero())
      ->capture_default_str();
  command->add_option("--size", words->side, "the longer side in millimetres")
      ->check(above_zero())
      ->capture_default_str();
  command->add_option("--base", words->base, "thickness under the lowest point in millimetres (default: 3 % of --size)")
      ->check(above_zero());
  command->option_defaults()->group("Output");
  command->add_flag("--force", words->force, "replace an existing file");
  command->callback([words, command, &context] { context.status = export_file(*words, *command); });
}

}  // namespace lossatlas
