#include "jobs/left_claims.h"

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"

namespace lossatlas {
namespace {

constexpr std::string_view kOpen = "open", kOpenBegin = "{\"block\":";  // a file, and what it begins with

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool names_process(const std::string& text) {
  try {
    process_from_text(text);
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// By name and content. A kill may have left any of them empty.
bool is_claim(const std::filesystem::path& file) {
  std::error_code code;
  if (!std::filesystem::is_regular_file(std::filesystem::symlink_status(file, code))) return false;
  const std::string name = file.filename().string(), content = content_of(file).value_or("");
  if (name == kOpen) return content.empty() || content.starts_with(kOpenBegin);
  if (name.ends_with(".alive")) return content.empty() || names_process(content);  // HOST.PID.alive
  if (!name.starts_with("block-") || !is_number(std::string_view(name).substr(6))) return false;
  // "owner" or HOST.PID.
  return content.empty() || content == "owner" || is_number(std::string_view(content).substr(content.rfind('.') + 1));
}

}  // namespace

std::filesystem::path claims_of(const std::filesystem::path& surface) {
  auto folder = surface;
  return folder += ".claims";
}

void check_claims(const std::filesystem::path& folder) {
  std::error_code code;
  const auto status = std::filesystem::symlink_status(folder, code);
  bool is_own = !std::filesystem::exists(status) || std::filesystem::is_directory(status);
  const std::string temporary = std::string(kOpen) + ".tmp";
  for (const auto& entry : std::filesystem::directory_iterator(folder, code)) {
    is_own = is_own && (is_claim(entry.path()) || entry.path().filename().string().starts_with(temporary));
  }
  if (is_own) return;
  throw Error("{}: holds files that Lossatlas did not write under this name; move it away, or choose another `out`",
              folder.string());
}

void remove_claims(const std::filesystem::path& folder) {
  std::error_code code;
  std::vector<std::filesystem::path> own;
  for (const auto& entry : std::filesystem::directory_iterator(folder, code)) {
    if (is_claim(entry.path())) own.push_back(entry.path());
  }
  for (const auto& file : own) std::filesystem::remove(file, code);
  if (!std::filesystem::is_directory(std::filesystem::symlink_status(folder, code))) return;
  remove_temporaries(folder / kOpen, kOpenBegin);
  std::filesystem::remove(folder, code);
}

}  // namespace lossatlas
