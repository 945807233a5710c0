#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "landscape/ranks.h"

namespace lossatlas {

/// What ranks say to each other. Numbers as they are in memory: all ranks are of one build and one kind of processor.
enum class MessageKind : std::uint8_t {
  alive,    // to rank 0: nothing else was said for a while
  text,     // of gather and broadcast
  begin,    // to others: `text` is the request of a new sweep
  items,    // to others: more of them
  drop,     // to others: what is not under way will not be evaluated
  end,      // to others: the sweep has no more items
  results,  // to rank 0
  failed,   // to rank 0: `text` is the error
  stop,     // to rank 0: this rank was interrupted
  over,     // to others: the job ends with `status`
  bye,      // to rank 0: the answer to that
};

struct DoneItem {
  std::size_t item = 0;
  double seconds = 0;  // that it took
  ItemResult result;
};

struct Message {
  MessageKind kind = MessageKind::alive;
  std::string text = {};
  std::vector<std::size_t> items = {};
  std::vector<DoneItem> done = {};
  std::size_t dropped = 0;  // items that the rank had, and will not evaluate
  int status = 0;
};

std::string packed(const Message& message);
/// Throws Error if the bytes are no message.
Message unpacked(std::string_view bytes);

}  // namespace lossatlas
