#include "mpi/job_ranks.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace lossatlas {
namespace {

constexpr std::chrono::milliseconds kPause{1};         // between two looks at the transport
constexpr std::chrono::microseconds kShortPause{50};   // the same while a long message is on its way
constexpr double kWord = 5;                            // seconds: a rank that has nothing to say says so
constexpr double kLook = 0.2;                          // seconds between two looks for silent ranks
constexpr double kGoodbye = 30, kGoodbyeOfFailed = 3;  // seconds for the answer to the job's end

}  // namespace

JobRanks::JobRanks(std::unique_ptr<Transport> transport, RankOptions options)
    : options_(std::move(options)),
      transport_(std::move(transport)),
      rank_(transport_->rank()),
      size_(transport_->size()),
      local_rank_(transport_->local_rank()),
      hosts_(static_cast<std::size_t>(size_)),
      texts_(static_cast<std::size_t>(size_)),
      thread_([this](std::stop_token stop) { serve_transport(std::move(stop)); }) {
  hosts_[static_cast<std::size_t>(rank_)] = options_.host;
}

void JobRanks::meet() {
  const nlohmann::json own{{"build", options_.build}, {"host", options_.host}, {"threads", options_.threads}};
  const auto all = gather(json_text(own));
  if (!is_first()) return;
  std::vector<int> threads;
  for (int r = 0; r < size_; ++r) {
    const auto of_rank = nlohmann::json::parse(all[static_cast<std::size_t>(r)]);
    hosts_[static_cast<std::size_t>(r)] = of_rank.at("host");
    threads.push_back(of_rank.at("threads"));
    if (of_rank.at("build") != options_.build) {
      throw Error("{} runs lossatlas {}, rank 0 on {} {}; start all ranks from one build", name(r),
                  of_rank.at("build").get<std::string>(), options_.host, options_.build);
    }
  }
  const std::scoped_lock lock(mutex_);
  hand_out_.emplace(threads, options_.times);
  for (int r = 1; r < size_; ++r) hand_out_->hear(static_cast<std::size_t>(r), now());
}

std::string JobRanks::name(int rank) const {
  const std::string& host = hosts_[static_cast<std::size_t>(rank)];
  return host.empty() ? fmt::format("rank {}", rank) : fmt::format("rank {} on {}", rank, host);
}

// --- any rank ----------------------------------------------------------------------------------------------------

void JobRanks::check_failure() const {
  if (failure_) std::rethrow_exception(failure_);
  if (over_) throw JobEnded{*over_};
}

template <class Condition>
void JobRanks::wait_for(std::unique_lock<std::mutex>& lock, const Condition& condition) {
  while (!condition()) {
    check_failure();
    changed_.wait(lock);
  }
}

std::vector<std::string> JobRanks::gather(const std::string& text) {
  std::unique_lock lock(mutex_);
  check_failure();
  if (!is_first()) {
    send(0, {.kind = MessageKind::text, .text = text});
    return {};
  }
  std::vector<std::string> all{text};
  for (int r = 1; r < size_; ++r) {
    auto& texts = texts_[static_cast<std::size_t>(r)];
    wait_for(lock, [&] { return !texts.empty(); });
    all.push_back(std::move(texts.front()));
    texts.pop_front();
  }
  return all;
}

std::string JobRanks::broadcast(const std::string& text) {
  std::unique_lock lock(mutex_);
  check_failure();
  if (is_first()) {
    send_to_others({.kind = MessageKind::text, .text = text});
    return text;
  }
  auto& texts = texts_.front();
  wait_for(lock, [&] { return !texts.empty(); });
  std::string received = std::move(texts.front());
  texts.pop_front();
  return received;
}

std::optional<std::size_t> JobRanks::next() {
  std::unique_lock lock(mutex_);
  if (is_first()) {
    if (!is_sweeping_ || failure_ || (hooks_.stop && *hooks_.stop)) return std::nullopt;
    const auto item = hand_out_->take(0, 1);
    return item.empty() ? std::nullopt : std::optional(item.front());
  }
  AskedSweep& sweep = asked_.front();
  changed_.wait(lock, [&] { return !sweep.queue.empty() || sweep.is_ended || over_ || failure_; });
  if (sweep.queue.empty() || over_ || failure_) return std::nullopt;
  const std::size_t item = sweep.queue.front();
  sweep.queue.pop_front();
  return item;
}

void JobRanks::put(std::size_t item, ItemResult result, double seconds) {
  if (is_first()) hooks_.take(item, std::move(result));
  const std::scoped_lock lock(mutex_);
  if (is_first()) {
    hand_out_->finish(0, seconds);
    changed_.notify_all();
  } else {
    done_.push_back({item, seconds, std::move(result)});
  }
}

int JobRanks::finish(int status, const std::string& failure) {
  std::unique_lock lock(mutex_);
  if (is_first()) {
    send_to_others({.kind = MessageKind::over, .status = status});
    const auto goodbye = std::chrono::duration<double>(failure_ ? kGoodbyeOfFailed : kGoodbye);
    if (!changed_.wait_for(lock, goodbye, [&] { return byes_ == size_ - 1; })) transport_->abort(status);
  } else {
    if (!failure.empty()) send(0, {.kind = MessageKind::failed, .text = fmt::format("{}: {}", name(rank_), failure)});
    changed_.wait(lock, [&] { return over_ || failure_; });
    status = over_.value_or(1);
    send(0, {.kind = MessageKind::bye});
  }
  lock.unlock();
  thread_.request_stop();
  thread_.join();
  transport_.reset();
  return status;
}

// --- rank 0 ------------------------------------------------------------------------------------------------------

void JobRanks::begin(const std::string& request, std::vector<std::size_t> items, int threads_each,
                     const SweepHooks& hooks) {
  const std::scoped_lock both(hooks_mutex_, mutex_);
  check_failure();
  hooks_ = hooks;
  is_sweeping_ = true;
  has_stopped_ = false;
  hand_out_->start(std::move(items), threads_each);
  send_to_others({.kind = MessageKind::begin, .text = request});
  for (int r = 1; r < size_; ++r) feed(r);
}

void JobRanks::end() {
  {
    std::unique_lock lock(mutex_);
    wait_for(lock, [&] { return hand_out_->in_hand() == 0 && hand_out_->left() == 0; });
    check_failure();
    send_to_others({.kind = MessageKind::end});
  }
  cancel();
}

void JobRanks::cancel() {
  const std::scoped_lock both(hooks_mutex_, mutex_);
  is_sweeping_ = false;
  hooks_ = {};
}

/// Gives a rank what it should have in hand. Under the mutex.
void JobRanks::feed(int rank) {
  auto items = hand_out_->take(static_cast<std::size_t>(rank));
  if (!items.empty()) send(rank, {.kind = MessageKind::items, .items = std::move(items)});
}

void JobRanks::take_on_first(int from, Message message) {
  if (message.kind == MessageKind::results) return take_results(from, std::move(message));
  if (message.kind == MessageKind::stop && options_.on_interrupt) options_.on_interrupt();
  if (message.kind == MessageKind::failed) {
    fail(std::make_exception_ptr(Error("{}", message.text)));
  }
  const std::scoped_lock lock(mutex_);
  if (hand_out_) hand_out_->hear(static_cast<std::size_t>(from), now());
  if (message.kind == MessageKind::text) texts_[static_cast<std::size_t>(from)].push_back(std::move(message.text));
  if (message.kind == MessageKind::bye) ++byes_;
  changed_.notify_all();
}

void JobRanks::take_results(int from, Message message) {
  const auto worker = static_cast<std::size_t>(from);
  for (DoneItem& done : message.done) {
    call_hook([&] {
      if (hooks_.take) hooks_.take(done.item, std::move(done.result));
    });
  }
  const std::scoped_lock lock(mutex_);
  hand_out_->hear(worker, now());
  for (const DoneItem& done : message.done) hand_out_->finish(worker, done.seconds);
  hand_out_->drop(worker, message.dropped);
  if (is_sweeping_ && !failure_) feed(from);
  changed_.notify_all();
}

/// What a hook throws ends the sweep.
void JobRanks::call_hook(const std::function<void()>& call) {
  const std::scoped_lock lock(hooks_mutex_);
  try {
    call();
  } catch (...) {
    fail(std::current_exception());
  }
}

/// The first failure counts.
void JobRanks::fail(std::exception_ptr failure) {
  const std::scoped_lock lock(mutex_);
  if (!failure_) failure_ = std::move(failure);
  changed_.notify_all();
}

/// Nothing more is handed out, and what others have not begun they give back.
void JobRanks::notice_stop() {
  {
    const std::scoped_lock lock(mutex_);
    if (!is_sweeping_ || has_stopped_ || !hooks_.stop || !*hooks_.stop) return;
    has_stopped_ = true;
    hand_out_->drop_rest();
    send_to_others({.kind = MessageKind::drop});
    changed_.notify_all();
  }
  call_hook([this] {
    if (hooks_.on_stop) hooks_.on_stop();
  });
}

void JobRanks::look_at_clock() {
  if (now() < looked_ + kLook) return;
  looked_ = now();
  std::optional<SilentWorker> silent;
  {
    const std::scoped_lock lock(mutex_);
    if (hand_out_) silent = hand_out_->next_silent(now());
  }
  if (!silent) return;
  const std::string what =
      fmt::format("{} has been silent for {}", name(static_cast<int>(silent->worker)), duration_text(silent->seconds));
  if (silent->is_lost) return fail(std::make_exception_ptr(Error("{}; is it gone, or its network?", what)));
  call_hook([&] {
    if (!hooks_.on_note) return;
    hooks_.on_note(fmt::format("warning: {}; the run ends after {}", what, duration_text(options_.times.timeout)));
  });
}

// --- the others --------------------------------------------------------------------------------------------------

std::string JobRanks::next_request(const std::atomic<bool>& interrupted) {
  std::unique_lock lock(mutex_);
  interrupted_ = &interrupted;
  if (is_under_way_) asked_.pop_front();
  is_under_way_ = false;
  wait_for(lock, [&] { return !asked_.empty(); });
  is_under_way_ = true;
  return asked_.front().request;
}

void JobRanks::take_on_others(Message message) {
  const bool is_stop = message.kind == MessageKind::drop || message.kind == MessageKind::over;
  if (is_stop && options_.on_interrupt) options_.on_interrupt();
  const std::scoped_lock lock(mutex_);
  switch (message.kind) {
    case MessageKind::text: texts_.front().push_back(std::move(message.text)); break;
    case MessageKind::begin: asked_.push_back({std::move(message.text)}); break;
    case MessageKind::items: {
      auto& queue = asked_.back().queue;
      queue.insert(queue.end(), message.items.begin(), message.items.end());
      break;
    }
    case MessageKind::drop:
      dropped_ += asked_.back().queue.size();
      asked_.back().queue.clear();
      break;
    case MessageKind::end: asked_.back().is_ended = true; break;
    default: over_ = message.status;
  }
  changed_.notify_all();
}

void JobRanks::send_results() {
  const std::scoped_lock lock(mutex_);
  if (interrupted_ && *interrupted_ && !has_told_stop_) {
    has_told_stop_ = true;
    send(0, {.kind = MessageKind::stop});
  }
  if (!done_.empty() || dropped_ > 0) {
    send(0, {.kind = MessageKind::results, .done = std::exchange(done_, {}), .dropped = std::exchange(dropped_, 0)});
  }
  if (outbox_.empty() && now() > spoke_ + std::min(kWord, options_.times.timeout / 4)) send(0, {});
}

// --- the transport's thread --------------------------------------------------------------------------------------

void JobRanks::send(int to, const Message& message) {
  outbox_.emplace_back(to, std::make_shared<const std::string>(packed(message)));
}

void JobRanks::send_to_others(const Message& message) {
  const auto bytes = std::make_shared<const std::string>(packed(message));
  for (int r = 1; r < size_; ++r) outbox_.emplace_back(r, bytes);
}

void JobRanks::receive_all() {
  while (const auto received = transport_->receive()) {
    Message message = unpacked(received->bytes);
    if (is_first()) {
      take_on_first(received->source, std::move(message));
    } else {
      take_on_others(std::move(message));
    }
  }
}

void JobRanks::serve_transport(std::stop_token stop) {
  for (bool is_sent = false, is_last = false; !is_last || !is_sent;
       std::this_thread::sleep_for(is_sent ? std::chrono::microseconds(kPause) : kShortPause)) {
    is_last = stop.stop_requested();  // what was to be sent before is in the outbox
    try {
      receive_all();
      if (is_first()) {
        notice_stop();
        look_at_clock();
      } else {
        send_results();
      }
      decltype(outbox_) outbox;
      {
        const std::scoped_lock lock(mutex_);
        outbox.swap(outbox_);
      }
      if (!outbox.empty()) spoke_ = now();
      for (auto& [to, bytes] : outbox) transport_->send(to, std::move(bytes));
      is_sent = transport_->is_sent();
    } catch (...) {
      fail(std::current_exception());
      is_sent = true;
    }
  }
}

}  // namespace lossatlas
