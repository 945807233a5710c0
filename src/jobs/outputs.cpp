#include "jobs/outputs.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/files.h"
#include "checkpoint/checkpoint.h"

namespace lossatlas {
namespace {

constexpr std::array kBeside{".lock", ".journal", ".claims", ".tmp", ".curve.pt", ".products"};

std::string full_name(const std::filesystem::path& file) {
  return std::filesystem::weakly_canonical(std::filesystem::absolute(real_file(file))).string();
}

bool is_beside(const Output& output, const std::filesystem::path& file) {
  if (!output.is_surface || output.file.empty() || file.empty()) return false;
  const std::string name = full_name(file), stem = full_name(output.file);
  return std::any_of(kBeside.begin(), kBeside.end(), [&](const char* end) { return name.starts_with(stem + end); });
}

void check_pair(const Output& a, const Output& b) {
  if (same_file(a.file, b.file)) {
    throw UsageError("{} {}: the file of {} too; choose another name", b.option, b.file.string(), a.option);
  }
  if (is_beside(a, b.file)) {
    throw UsageError("{} {}: reserved for a file next to {} {}; choose another name", b.option, b.file.string(),
                     a.option, a.file.string());
  }
}

}  // namespace

void check_apart(const std::vector<Output>& outputs, const std::vector<std::filesystem::path>& named) {
  std::vector<std::filesystem::path> inputs;
  for (const auto& file : named) {
    for (const auto& part : files_of_checkpoint(file)) inputs.push_back(part);
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    for (const auto& input : inputs) {
      if (same_file(outputs[i].file, input) || is_beside(outputs[i], input)) {
        throw UsageError("{} {}: {} would be read and written; choose another name", outputs[i].option,
                         outputs[i].file.string(), input.string());
      }
    }
    for (std::size_t j = 0; j < i; ++j) {
      check_pair(outputs[j], outputs[i]);
      if (is_beside(outputs[i], outputs[j].file)) check_pair(outputs[i], outputs[j]);
    }
  }
}

void check_output(const std::string& option, const std::filesystem::path& file, bool force) {
  if (file.empty() || !file.has_filename())
    throw UsageError("{} '{}': requires the name of a file", option, file.string());
  if (const auto kind = kind_of(file); !kind.empty()) throw Error("{}: {}, not a file", file.string(), kind);
  if (std::filesystem::exists(file) && !force) {
    throw Error("{}: exists; choose another {}, or replace it with `force`", file.string(), option);
  }
}

void check_writable(const std::filesystem::path& file) {
  make_folder_of(file);
  check_temporary(file);
}

bool same_file(const std::filesystem::path& a, const std::filesystem::path& b) {
  if (a.empty() || b.empty()) return false;
  std::error_code code;
  if (std::filesystem::equivalent(a, b, code)) return true;       // by device and inode
  const auto full_name = [](const std::filesystem::path& file) {  // relative ones stay so where nothing of them exists
    return std::filesystem::weakly_canonical(std::filesystem::absolute(real_file(file)));
  };
  return full_name(a) == full_name(b);
}

}  // namespace lossatlas
