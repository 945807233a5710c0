#include "training/history.h"

#include <array>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "storage/format.h"

namespace lossatlas {
namespace {

constexpr std::array<std::pair<const char*, double HistoryRow::*>, 6> kColumns{
    {{"/learning_rate", &HistoryRow::learning_rate},
     {"/train_loss", &HistoryRow::train_loss},
     {"/train_acc", &HistoryRow::train_acc},
     {"/test_loss", &HistoryRow::test_loss},
     {"/test_acc", &HistoryRow::test_acc},
     {"/seconds", &HistoryRow::seconds}}};

}  // namespace

void write_history(const std::filesystem::path& file, const History& history) {
  Hdf5Writer writer;
  const std::size_t count = history.rows.size();
  std::vector<std::int64_t> epochs;
  for (const HistoryRow& row : history.rows) epochs.push_back(row.epoch);
  writer.write<std::int64_t>("/epoch", epochs, {count});
  for (const auto& [name, member] : kColumns) {
    std::vector<double> values;
    for (const HistoryRow& row : history.rows) values.push_back(row.*member);
    writer.write<double>(name, values, {count});
    writer.attach_scale(name, 0, "/epoch");
  }
  const std::array<std::int64_t, 1> format{kFirstFormat};
  writer.make_group("/lossatlas");
  writer.attribute<std::int64_t>("/lossatlas", "format", format);
  writer.attribute("/lossatlas", "kind", "history");
  writer.attribute("/lossatlas", "settings", json_text(history.settings));
  writer.save(file);
}

History read_history(const std::filesystem::path& file) {
  const Hdf5Reader reader(file);
  if (!reader.has("/epoch") || !reader.has_attribute("/lossatlas", "settings")) {
    throw Error("{}: not a training history", file.string());
  }
  check_format(reader);
  const auto epochs = reader.read<std::int64_t>("/epoch");
  History history{std::vector<HistoryRow>(epochs.size()), {}};
  for (std::size_t i = 0; i < epochs.size(); ++i) history.rows[i].epoch = epochs[i];
  for (const auto& [name, member] : kColumns) {
    const auto values = reader.read<double>(name);
    if (values.size() != epochs.size()) throw Error("{}: {} has another length than epoch", file.string(), name);
    for (std::size_t i = 0; i < values.size(); ++i) history.rows[i].*member = values[i];
  }
  history.settings = parse_json(reader.text_attribute("/lossatlas", "settings"));
  if (reader.has_attribute("/lossatlas", "unit")) history.unit = reader.text_attribute("/lossatlas", "unit");
  if (!history.settings.is_object()) throw Error("{}: /lossatlas@settings is not a JSON object", file.string());
  return history;
}

}  // namespace lossatlas
