#include "fused/plan.h"

#include <algorithm>
#include <stdexcept>

#include "base/stopwatch.h"

namespace lossatlas {

Plan::Plan(std::shared_ptr<const Graph> graph, const PlanOptions& options)
    : graph_(std::move(graph)), options_(options), steps_(graph_->nodes.size()), places_(steps_.size()) {
  const Kernels& kernels = kernels_of(options_.instruction_set, options_.precision);
  for (std::size_t node = 1; node < steps_.size(); ++node) steps_[node] = make_step(*graph_, node, kernels);
  place_in_concatenations();
  cut_segments();
  find_lifetimes();
  place_values();
  std::size_t scratch = 0;
  for (std::size_t node = 1; node < steps_.size(); ++node) {
    scratch = std::max(scratch, steps_[node]->scratch(segment_of(node).slice));
  }
  scratch_ = AlignedFloats(scratch);
  memory_.scratch = scratch_.data();
  memory_.values.resize(steps_.size());
  memory_.moments.resize(steps_.size());
}

void Plan::load(const Tensors& tensors) {
  if (tensors.size() != graph_->tensors) throw std::logic_error("Plan::load: another network's tensors");
  for (std::size_t node = 1; node < steps_.size(); ++node) steps_[node]->load(tensors, scratch_.data());
}

void Plan::run(const PlanarImages& images, std::span<float> logits) {
  if (images.images > options_.batch) throw std::logic_error("Plan::run: more images than the batch");
  for (const Segment& segment : segments_) run_segment(segment, images);
  write_logits(images.images, logits);
}

std::size_t Plan::memory() const {
  std::size_t floats = activations_.size() + scratch_.size();
  for (std::size_t node = 1; node < steps_.size(); ++node) floats += steps_[node]->weights();
  return floats * sizeof(float);
}

std::vector<Plan::StepTime> Plan::times() const {
  std::vector<StepTime> times;
  for (std::size_t node = 1; node < steps_.size(); ++node) {
    times.push_back({&graph_->nodes[node], steps_[node]->method(), seconds_[node]});
  }
  return times;
}

std::size_t Plan::floats_of(std::size_t node, std::int64_t images) const {
  const ImageShape& shape = graph_->nodes[node].shape;
  return static_cast<std::size_t>(blocks_of(shape.channels) * staggered(shape.height * shape.width * images));
}

/// What fills whole blocks of a concatenation is written there in the first place. Where every layer concatenates again
/// all that came before, each of these concatenations is the beginning of the next one.
void Plan::place_in_concatenations() {
  for (std::size_t node = 0; node < places_.size(); ++node) places_[node].owner = node;
  for (std::size_t node = places_.size() - 1; node > 0; --node) {
    const Node& n = graph_->nodes[node];
    if (n.operation != Operation::concatenate) continue;
    Place& place = places_[node];
    const Place first = places_[n.inputs.front()];
    if (place.owner == node && first.owner != n.inputs.front()) {
      place = first;
      if (lies_in_place(node)) continue;
      place = {node};
    }
    std::int64_t channel = 0;
    for (const std::size_t input : n.inputs) {
      const std::int64_t end = channel + graph_->nodes[input].shape.channels;
      const bool whole = channel % kBlock == 0 && (end % kBlock == 0 || end == n.shape.channels);
      if (whole && places_[input].owner == input) places_[input] = {place.owner, place.block + channel / kBlock};
      channel = end;
    }
  }
}

/// A concatenation that copies nothing.
bool Plan::lies_in_place(std::size_t concatenation) const {
  std::int64_t channel = 0;
  for (const std::size_t input : graph_->nodes[concatenation].inputs) {
    const Place &part = places_[input], &whole = places_[concatenation];
    if (part.owner != whole.owner || part.block * kBlock != whole.block * kBlock + channel) return false;
    channel += graph_->nodes[input].shape.channels;
  }
  return true;
}

/// As few images as keep what the step reads and writes near the second-level cache (twice its size was measured to be
/// best), unless that would make it read its parameters from memory so often that streaming the activations is cheaper.
std::int64_t Plan::best_slice(std::size_t node) const {
  constexpr std::size_t kNear = std::size_t{1} << 18;  // floats
  const std::size_t cache = 2 * second_level_cache() / sizeof(float);
  const Node& n = graph_->nodes[node];
  std::size_t floats = floats_of(node, 1) + (n.residual ? floats_of(node, 1) : 0);
  for (const std::size_t input : n.inputs) floats += floats_of(input, 1);
  std::int64_t slice = 1;
  while (slice * 2 <= options_.batch && floats * static_cast<std::size_t>(slice) * 2 <= cache) slice *= 2;
  const std::size_t weights = steps_[node]->weights();
  const bool reads_weights_too_often = weights > kNear && weights / static_cast<std::size_t>(slice) > floats;
  return reads_weights_too_often ? options_.batch : std::min(slice, options_.batch);
}

/// A step joins the segment before it where that has its slice, or a somewhat larger one: a smaller slice costs those
/// steps little, and what they write is still in cache. A segment of the whole batch keeps it, for its parameters'
/// sake. Moments are measured where their input was just written; what reads them waits for the end of the batch. A
/// concatenation that copies nothing costs nothing.
void Plan::cut_segments() {
  for (std::size_t node = 1; node < steps_.size(); ++node) {
    const std::int64_t before = segments_.empty() ? 0 : segments_.back().slice;
    const Operation operation = graph_->nodes[node].operation;
    const bool follows =
        operation == Operation::moments || (operation == Operation::concatenate && lies_in_place(node));
    const std::int64_t slice = follows && before > 0 ? before : best_slice(node);
    const auto& inputs = graph_->nodes[node].inputs;
    const bool waits = std::any_of(inputs.begin(), inputs.end(), [&](std::size_t input) {
      return graph_->nodes[input].operation == Operation::moments && input >= segments_.back().first;
    });
    const bool near = before == slice || (before < options_.batch && before > slice && before <= 4 * slice);
    const bool joins = near && !waits;
    if (!joins) segments_.push_back({node, node, slice});
    segments_.back().slice = slice;
    segments_.back().end = node + 1;
  }
}

const Plan::Segment& Plan::segment_of(std::size_t node) const {
  const auto ends_after = [](std::size_t at, const Segment& segment) { return at < segment.end; };
  return *std::upper_bound(segments_.begin(), segments_.end(), node, ends_after);
}

/// Values that another segment reads hold the whole batch, and are needed from the begin of the segment that writes
/// them to the end of the last one that reads them: segments run slice by slice.
void Plan::find_lifetimes() {
  for (std::size_t node = 1; node < steps_.size(); ++node) {
    Place& place = places_[places_[node].owner];
    if (place.from == 0) place.from = node;
    place.to = node;
    place.capacity = std::max(place.capacity, segment_of(node).slice);
    const auto read = [&](std::size_t input) {
      if (input == 0) return;
      Place& from = places_[places_[input].owner];
      from.to = node;
      if (&segment_of(node) != &segment_of(input)) from.capacity = options_.batch;
    };
    for (const std::size_t input : graph_->nodes[node].inputs) read(input);
    if (graph_->nodes[node].residual) read(*graph_->nodes[node].residual);
  }
  places_[places_.back().owner].capacity = options_.batch;  // the logits
  for (Place& place : places_) {
    if (place.from == 0 || place.capacity < options_.batch) continue;
    place.from = segment_of(place.from).first;
    place.to = segment_of(place.to).end - 1;
  }
}

/// Each value, the largest first, takes the lowest place that is free while it is needed.
void Plan::place_values() {
  std::vector<std::size_t> order;
  for (std::size_t node = 1; node < steps_.size(); ++node) {
    if (places_[node].owner == node) order.push_back(node);
  }
  const auto size = [&](std::size_t node) { return floats_of(node, places_[node].capacity); };
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return size(a) > size(b); });
  std::vector<std::size_t> placed;  // by offset
  std::size_t total = 0;
  for (const std::size_t node : order) {
    Place& place = places_[node];
    for (const std::size_t other : placed) {
      const Place& taken = places_[other];
      const bool at_the_same_time = taken.from <= place.to && place.from <= taken.to;
      const bool overlap = place.offset < taken.offset + size(other) && taken.offset < place.offset + size(node);
      if (at_the_same_time && overlap) place.offset = taken.offset + size(other);
    }
    total = std::max(total, place.offset + size(node));
    const auto before = [&](std::size_t a, std::size_t b) { return places_[a].offset < places_[b].offset; };
    placed.insert(std::upper_bound(placed.begin(), placed.end(), node, before), node);
  }
  activations_ = AlignedFloats(total);
}

Activations Plan::view(std::size_t node, std::int64_t first, std::int64_t count) const {
  const Place& owner = places_[places_[node].owner];
  const ImageShape& shape = graph_->nodes[node].shape;
  const std::int64_t image = shape.height * shape.width * kBlock;
  const std::int64_t stride = staggered(owner.capacity * shape.height * shape.width);
  const std::int64_t begin = places_[node].block * stride + (owner.capacity == options_.batch ? first * image : 0);
  return {.data = activations_.data() + owner.offset + begin,
          .stride = stride,
          .blocks = blocks_of(shape.channels),
          .images = count,
          .height = shape.height,
          .width = shape.width};
}

void Plan::run_segment(const Segment& segment, const PlanarImages& images) {
  const std::int64_t image = images.channels * images.height * images.width;
  for (std::int64_t first = 0; first < images.images; first += segment.slice) {
    const std::int64_t count = std::min(segment.slice, images.images - first);
    memory_.first = first;
    memory_.images = images;
    memory_.images.data += first * image;
    memory_.images.images = count;
    for (std::size_t node = 1; node < segment.end; ++node) memory_.values[node] = view(node, first, count);
    for (std::size_t node = segment.first; node < segment.end; ++node) {
      const Stopwatch stopwatch;
      steps_[node]->run(memory_);
      if (!seconds_.empty()) seconds_[node] += stopwatch.seconds();
    }
  }
}

void Plan::write_logits(std::int64_t images, std::span<float> logits) const {
  const Activations rows = view(graph_->nodes.size() - 1, 0, images);
  for (std::int64_t n = 0; n < images; ++n) {
    for (std::int64_t c = 0; c < classes(); ++c) {
      logits[static_cast<std::size_t>(n * classes() + c)] =
          rows.data[c / kBlock * rows.stride + n * kBlock + c % kBlock];
    }
  }
}

}  // namespace lossatlas
