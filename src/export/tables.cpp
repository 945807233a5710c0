#include "export/tables.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.h"
#include "base/files.h"

namespace lossatlas {
namespace {

std::string cell(double value) { return std::isnan(value) ? "" : fmt::format("{}", value); }

/// In quotes where RFC 4180 asks for them.
std::string cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
}

void write_text(const std::filesystem::path& file, const std::string& text) {
  make_folder_of(file);
  write_atomically(file, [&](const ByteSink& sink) { sink(std::as_bytes(std::span(text))); });
}

}  // namespace

void write_csv(const std::filesystem::path& file, const GridFile& grid) {
  std::string text;
  const auto add = [&](const std::string& next) { (text += next) += ','; };
  for (const Column& axis : grid.axes) add(axis.name);
  for (const Column& field : grid.fields) add(cell(field.name));
  text += "evaluated\n";
  for (std::size_t i = 0; i < grid.size(); ++i) {
    std::size_t row = i;  // among the points that the axes so far do not tell apart
    for (const Column& axis : grid.axes) {
      add(cell(axis.values[row % axis.values.size()]));
      row /= axis.values.size();
    }
    for (const Column& field : grid.fields) add(cell(field.values[i]));
    text += fmt::format("{}\n", grid.state[i]);
  }
  write_text(file, text);
}

void write_csv(const std::filesystem::path& file, const std::vector<Path>& paths) {
  std::vector<std::string> names;
  for (const Path& path : paths) {
    for (const Column& column : path.columns) {
      if (std::find(names.begin(), names.end(), column.name) == names.end()) names.push_back(column.name);
    }
  }
  std::string text = "path,label,x,y";
  const auto add = [&](const std::string& next) { (text += ',') += next; };
  for (const auto& name : names) add(cell(name));
  text += '\n';
  for (const Path& path : paths) {
    for (std::size_t i = 0; i < path.x.size(); ++i) {
      text += cell(path.name);
      add(path.labels.empty() ? "" : cell(path.labels[i]));
      add(cell(path.x[i]));
      add(path.y.empty() ? "" : cell(path.y[i]));
      for (const auto& name : names) {
        const auto found =
            std::find_if(path.columns.begin(), path.columns.end(), [&](const Column& c) { return c.name == name; });
        add(found == path.columns.end() ? "" : cell(found->values[i]));
      }
      text += '\n';
    }
  }
  write_text(file, text);
}

}  // namespace lossatlas
