#include "cli/help.h"

#include <fmt/format.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>

namespace lossatlas {
namespace {

constexpr std::size_t kTextColumn = 28, kWidth = 110;

/// CLI11's names of types, as the documentation writes them.
std::string value_name(const std::string& type) {
  if (type == "INT" || type == "UINT") return "N";
  if (type == "FLOAT") return "X";
  if (type == "TEXT") return "NAME";
  return type;
}

std::string text_of(const CLI::Option& option) {
  std::string text = option.get_description();
  if (!option.get_default_str().empty()) text += fmt::format(" (default: {})", option.get_default_str());
  if (option.get_required()) text += " (required)";
  return text;
}

/// Columns that the text takes up: UTF-8's continuation bytes take none.
std::size_t columns(std::string_view text) {
  std::size_t count = 0;
  for (const char byte : text) count += (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
  return count;
}

/// `text` to the right of the column, its lines broken between words.
std::string to_the_right(const std::string& text) {
  std::string lines;
  std::size_t column = kTextColumn;
  for (const std::string& word : CLI::detail::split(text, ' ')) {
    if (column > kTextColumn && column + 1 + columns(word) > kWidth) {
      lines += '\n' + std::string(kTextColumn, ' ');
      column = kTextColumn;
    } else if (column > kTextColumn) {
      lines += ' ';
      ++column;
    }
    lines += word;
    column += columns(word);
  }
  return lines;
}

class Help : public CLI::Formatter {
  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    std::string names = "  " + option->get_name(is_positional, !is_positional);
    if (option->get_items_expected_max() > 0 && !is_positional) names += ' ' + value_name(option->get_type_name());
    if (option->get_expected_max() > 2 && !names.ends_with("...")) names += " ...";
    const std::size_t width = columns(names);
    const std::string gap =
        width + 2 > kTextColumn ? '\n' + std::string(kTextColumn, ' ') : std::string(kTextColumn - width, ' ');
    return names + gap + to_the_right(text_of(*option)) + '\n';
  }
};

/// What a value may be is said where one is refused.
void leave_out_checks(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    try {
      for (int i = 0;; ++i) option->get_validator(i)->description("");
    } catch (const CLI::OptionNotFound&) {  // after the last
    }
  }
}

}  // namespace

void set_help(CLI::App& app) {
  const auto help = std::make_shared<Help>();
  app.formatter(help);
  leave_out_checks(app);
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) {
    command->formatter(help);
    leave_out_checks(*command);
  }
}

}  // namespace lossatlas
