#include "landscape/sharing.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/lock.h"
#include "landscape/sweep.h"
#include "surface/journal.h"
#include "surface/resume.h"

namespace lossatlas {
namespace {

constexpr auto kOpen = "open";
constexpr std::string_view kOpenBegin = "{\"block\":";  // of that file's content
constexpr auto kOwner = "owner";
constexpr auto kAlive = ".alive";

void pause(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

std::filesystem::path claim_file(const std::filesystem::path& folder, std::size_t block) {
  return folder / fmt::format("block-{:06}", block);
}

/// The one call that decides who computes a block.
NewFile try_claim(const std::filesystem::path& folder, std::size_t block, const std::string& name) {
  return make_new_file(claim_file(folder, block), name);
}

bool names_process(const std::string& text) {
  try {
    process_from_text(text);
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// True for what sharing writes into the folder, by name and content. A kill may have left any of it empty.
bool is_claim(const std::filesystem::path& file) {
  std::error_code code;
  if (!std::filesystem::is_regular_file(std::filesystem::symlink_status(file, code))) return false;
  const std::string name = file.filename().string(), content = content_of(file).value_or("");
  const auto is_number = [](std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
  };
  if (name == kOpen || name.ends_with(kAlive)) {
    return content.empty() || (name == kOpen ? content.starts_with(kOpenBegin) : names_process(content));
  }
  if (!name.starts_with("block-") || !is_number(std::string_view(name).substr(6))) return false;
  return content.empty() || content == kOwner || is_number(std::string_view(content).substr(content.rfind('.') + 1));
}

/// Removes what sharing put there, and the folder if nothing else is in it.
void remove_claims(const std::filesystem::path& folder) {
  std::error_code code;
  std::vector<std::filesystem::path> own;
  for (const auto& entry : std::filesystem::directory_iterator(folder, code)) {
    if (is_claim(entry.path())) own.push_back(entry.path());
  }
  for (const auto& file : own) std::filesystem::remove(file, code);
  if (std::filesystem::is_directory(folder, code)) {
    remove_temporaries(folder / kOpen, kOpenBegin);
    std::filesystem::remove(folder, code);
  }
}

std::vector<bool> missing_points(const Surface& surface) {
  std::vector<bool> missing(surface.size());
  for (std::size_t i = 0; i < surface.size(); ++i) missing[i] = surface.state[i] == PointState::missing;
  return missing;
}

/// The points of a block of the order that are to be done.
std::deque<std::size_t> points_of(const std::vector<std::size_t>& order, const std::vector<bool>& wanted,
                                  std::size_t block, std::size_t size) {
  std::deque<std::size_t> points;
  for (std::size_t at = block * size; at < std::min(order.size(), (block + 1) * size); ++at) {
    if (wanted[order[at]]) points.push_back(order[at]);
  }
  return points;
}

std::optional<std::size_t> take_first(std::deque<std::size_t>& queue) {
  if (queue.empty()) return std::nullopt;
  const std::size_t first = queue.front();
  queue.pop_front();
  return first;
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
  throw Error(
      "{}: holds files that `--join` did not write under this name; move it away, or choose another "
      "`out`",
      folder.string());
}

std::size_t block_size(std::size_t points) { return std::clamp<std::size_t>(points / 128, 1, 8); }

// --- the owner ---------------------------------------------------------------------------------------------------

SharedSweep::SharedSweep(std::filesystem::path file, const Surface& surface, SharingTimes times)
    : file_(std::move(file)),
      folder_(claims_of(file_)),
      times_(times),
      order_(sweep_order(surface)),
      wanted_(missing_points(surface)),
      block_size_(block_size(surface.size())) {
  remove_claims(folder_);
}

SharedSweep::~SharedSweep() { remove_claims(folder_); }

std::optional<std::size_t> SharedSweep::next() {
  const std::scoped_lock lock(mutex_);
  if (queue_.empty()) take_block();
  return take_first(queue_);
}

void SharedSweep::take_block() {
  if (!open_ && std::filesystem::exists(folder_)) open_to_others();
  while (queue_.empty() && next_block_ * block_size_ < order_.size()) {
    const std::size_t block = next_block_++;
    auto points = points_of(order_, wanted_, block, block_size_);
    if (!points.empty() && claim(block)) queue_ = std::move(points);
  }
}

/// All blocks before the next one are this process's: they were taken before anybody could claim them.
void SharedSweep::open_to_others() {
  const nlohmann::json open{{"owner", to_text(this_process())}, {"first", next_block_}, {"block", block_size_}};
  const std::string text = json_text(open);
  write_atomically(folder_ / kOpen, [&](const ByteSink& sink) { sink(std::as_bytes(std::span(text))); });
  open_ = true;
}

bool SharedSweep::claim(std::size_t block) {
  if (!open_) return true;
  const NewFile result = try_claim(folder_, block, kOwner);
  if (result == NewFile::no_folder) open_ = false;  // somebody deleted it: nobody can claim any more
  return result != NewFile::exists;
}

std::vector<std::size_t> SharedSweep::missing(const Surface& surface) const {
  std::vector<std::size_t> found;
  for (std::size_t at = 0; at < order_.size(); ++at) {
    if (surface.state[order_[at]] == PointState::missing) found.push_back(at);
  }
  return found;
}

/// Of places in the order: those in blocks that nobody alive works on.
std::vector<std::size_t> SharedSweep::left_by_the_dead(const std::vector<std::size_t>& places) {
  std::map<std::size_t, bool> dead;  // by block
  std::vector<std::size_t> left;
  for (const std::size_t at : places) {
    const std::size_t block = at / block_size_;
    if (!dead.contains(block)) {
      const auto file = claim_file(folder_, block);
      const std::string name = content_of(file).value_or("");
      // One without a name was made this moment, or by a process that was killed then.
      dead[block] = name == kOwner || !is_alive(name.empty() ? file.filename().string() : name + kAlive);
    }
    if (dead[block]) left.push_back(at);
  }
  return left;
}

bool SharedSweep::is_alive(const std::string& name) {
  std::error_code code;
  const auto time = std::filesystem::last_write_time(folder_ / name, code);
  if (code) return false;
  try {
    if (life_of(process_from_text(content_of(folder_ / name).value_or(""))) == Life::dead) return false;
  } catch (const Error&) {  // being written
  }
  auto& heartbeat = heartbeats_[name];
  if (heartbeat.last != time) heartbeat = {time, {}};
  return heartbeat.since.seconds() < times_.stale_seconds;
}

bool SharedSweep::wait_for_others(Surface& surface, const std::atomic<bool>& stop) {
  while (!stop) {
    // First who lives, then what they wrote: one that ends in between has written all.
    const auto left = left_by_the_dead(missing(surface));
    merge(surface);
    if (missing(surface).empty()) return false;
    const std::scoped_lock lock(mutex_);
    for (const std::size_t at : left) {
      if (surface.state[order_[at]] == PointState::missing) queue_.push_back(order_[at]);
    }
    if (!queue_.empty()) return true;
    pause(times_.poll_seconds);
  }
  return false;
}

void SharedSweep::merge(Surface& surface) {
  const std::string own = journal_of(file_).string();
  for (const auto& journal : journals_of(file_)) {
    if (journal.string() == own) continue;
    std::error_code code;
    const auto size = std::filesystem::file_size(journal, code);
    if (code || read_sizes_[journal] == size) continue;
    read_sizes_[journal] = size;
    try {
      const std::size_t added = add_journal(journal, surface);
      if (added > 0) joined_[journal.string().substr(own.size() + 1)] += added;
    } catch (const Error&) {  // gone or damaged: its points stay missing, and are computed
    }
  }
}

// --- a joiner ----------------------------------------------------------------------------------------------------

JoinedSweep::JoinedSweep(std::filesystem::path file, SharingTimes times)
    : file_(std::move(file)), folder_(claims_of(file_)), times_(times) {
  const ProcessName own = this_process();
  name_ = fmt::format("{}.{}", own.host, own.pid);
  announce();
  heart_ = std::jthread([alive = folder_ / (name_ + kAlive), seconds = times_.heartbeat_seconds](std::stop_token stop) {
    for (Stopwatch beat; !stop.stop_requested(); pause(0.05)) {
      if (beat.seconds() < seconds) continue;
      std::error_code ignored;
      std::filesystem::last_write_time(alive, std::filesystem::file_time_type::clock::now(), ignored);
      beat.restart();
    }
  });
}

JoinedSweep::~JoinedSweep() {
  heart_.request_stop();
  heart_.join();
  std::error_code ignored;
  std::filesystem::remove(folder_ / (name_ + kAlive), ignored);
  std::filesystem::remove(folder_, ignored);  // if it is empty: the sweep was over
}

void JoinedSweep::announce() {
  const auto alive = folder_ / (name_ + kAlive);
  if (std::filesystem::exists(alive)) return;
  make_folder(folder_);
  std::ofstream stream(alive, std::ios::binary);
  if (!(stream << to_text(this_process()) << std::flush)) {
    throw Error("{}: cannot be written ({})", alive.string(), std::strerror(errno));
  }
}

bool JoinedSweep::wait_until_open(const std::filesystem::path& lock, const std::atomic<bool>& stop) {
  for (; !stop; pause(times_.poll_seconds)) {
    const auto owner = FileLock::holder(lock);
    if (!owner) return false;
    announce();
    const auto text = content_of(folder_ / kOpen).value_or("");
    if (text.empty()) continue;
    const auto open = nlohmann::json::parse(text);
    // Another owner's, who died: this one is about to remove it.
    if (!same_process(process_from_text(open.at("owner")), *owner)) continue;
    next_block_ = open.at("first");
    block_size_ = open.at("block");
    return true;
  }
  return false;
}

void JoinedSweep::begin(const Surface& surface) {
  order_ = sweep_order(surface);
  wanted_ = missing_points(surface);
}

std::optional<std::size_t> JoinedSweep::next() {
  const std::scoped_lock lock(mutex_);
  while (queue_.empty() && next_block_ * block_size_ < order_.size()) {
    const std::size_t block = next_block_++;
    auto points = points_of(order_, wanted_, block, block_size_);
    if (points.empty()) continue;
    const NewFile result = try_claim(folder_, block, name_);
    if (result == NewFile::no_folder) next_block_ = order_.size();  // the owner ended the sweep
    if (result == NewFile::made) queue_ = std::move(points);
  }
  return take_first(queue_);
}

std::filesystem::path JoinedSweep::journal() const {
  auto file = journal_of(file_);
  file += "." + name_;
  auto free = file;
  // A process of this name may have been here before, in a container that started again.
  for (int number = 2; std::filesystem::exists(free); ++number) free = file.string() + "." + std::to_string(number);
  return free;
}

}  // namespace lossatlas
