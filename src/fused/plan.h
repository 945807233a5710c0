#pragma once

#include <memory>
#include <span>
#include <vector>

#include "fused/step.h"
#include "kernels/memory.h"

namespace lossatlas {

struct PlanOptions {
  InstructionSet instruction_set = best_instruction_set();
  std::int64_t batch = 128;  // most images at a time
  Precision precision = Precision::fp32;
};

/// A fused graph made ready to run on one thread, parameters folded and packed once a point.
class Plan {
 public:
  Plan(std::shared_ptr<const Graph> graph, const PlanOptions& options);

  /// Takes the parameters of a point; `tensors` need not outlive the call, but where the graph measures moments.
  void load(const Tensors& tensors);

  /// images.images <= options.batch; writes logits [images][classes].
  void run(const PlanarImages& images, std::span<float> logits);

  std::int64_t classes() const { return graph_->nodes.back().shape.channels; }
  const Graph& graph() const { return *graph_; }
  /// Of the last batch, by node: of those that measure them.
  const std::vector<Moments>& moments() const { return memory_.moments; }
  /// Bytes of activations, scratch and packed parameters.
  std::size_t memory() const;

  /// What one operation took.
  struct StepTime {
    const Node* node;
    std::string_view method;
    double seconds;
  };
  /// From now on, adds up the seconds of each step.
  void measure() { seconds_.assign(graph_->nodes.size(), 0.0); }
  std::vector<StepTime> times() const;

 private:
  /// Steps that run one after another on a slice of the batch, slice by slice: the activations between them stay in
  /// cache.
  struct Segment {
    std::size_t first, end;  // nodes
    std::int64_t slice;      // images
  };
  /// Where the activations of a node lie: in memory of its own, or as some blocks of a concatenation's. The rest is
  /// known of owners alone, for all that lies there: the nodes from and to which it is needed.
  struct Place {
    std::size_t owner = 0;      // node
    std::int64_t block = 0;     // of the owner
    std::size_t offset = 0;     // floats
    std::int64_t capacity = 0;  // images: the batch, or the slice where no other segment reads them
    std::size_t from = 0, to = 0;
  };

  std::int64_t best_slice(std::size_t node) const;
  void place_in_concatenations();
  bool lies_in_place(std::size_t concatenation) const;
  void cut_segments();
  const Segment& segment_of(std::size_t node) const;
  void find_lifetimes();
  void place_values();
  std::size_t floats_of(std::size_t node, std::int64_t images) const;
  Activations view(std::size_t node, std::int64_t first, std::int64_t count) const;
  void run_segment(const Segment& segment, const PlanarImages& images);
  void write_logits(std::int64_t images, std::span<float> logits) const;

  std::shared_ptr<const Graph> graph_;
  PlanOptions options_;
  std::vector<std::unique_ptr<Step>> steps_;  // by node; none for the input
  std::vector<Segment> segments_;
  std::vector<Place> places_;
  StepMemory memory_;
  AlignedFloats activations_, scratch_;
  std::vector<double> seconds_;
};

}  // namespace lossatlas
