#include <ATen/ops/rand.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/stopwatch.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/words.h"
#include "evaluation/fused_evaluator.h"
#include "fused/plan.h"
#include "models/registry.h"

namespace lossatlas {
namespace {

struct LayersWords {
  std::string arch;
  std::int64_t batch_size = 128;
  std::int64_t repeats = 5;
  std::string instruction_set = "auto", dtype = "fp32";
};

/// Floating-point operations of one thread a second at best.
double measure_peak(const Kernels& kernels) {
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const Stopwatch stopwatch;
    const double operations = kernels.multiply_add(4'000'000);
    best = std::max(best, operations / stopwatch.seconds());
  }
  return best;
}

std::string_view name_of(Operation operation) {
  switch (operation) {
    case Operation::convolution: return "convolution";
    case Operation::linear: return "linear";
    case Operation::batch_norm: return "batch norm";
    case Operation::relu: return "ReLU";
    case Operation::add: return "sum";
    case Operation::max_pool: return "max pooling";
    case Operation::average_pool: return "average pooling";
    case Operation::concatenate: return "concatenation";
    case Operation::pad: return "zero channels";
    case Operation::flatten: return "flatten";
    case Operation::moments:
    case Operation::input: break;
  }
  return "input";
}

/// Operations of the sum of products as it is defined, whatever way it is computed.
double operations(const Graph& graph, const Node& node) {
  if (node.operation != Operation::convolution && node.operation != Operation::linear) return 0;
  const auto inputs = graph.nodes[node.inputs[0]].shape.channels;
  return 2.0 * static_cast<double>(node.shape.size() * inputs * node.window.taps());
}

void print_times(const Plan& plan, double images, double peak) {
  fmt::print("{:<18} {:>14} {:>4} {:<18} {:>9} {:>8} {:>7}\n", "operation", "result", "size", "method", "us/image",
             "GFLOP/s", "of peak");
  double seconds = 0, all = 0;
  const auto rate = [&](double flops, double time) {
    return flops > 0 ? fmt::format("{:8.1f} {:6.0f}%", flops / time / 1e9, 100 * flops / time / peak) : "";
  };
  for (const auto& step : plan.times()) {
    const Node& node = *step.node;
    const double flops = operations(plan.graph(), node), time = step.seconds / images;
    fmt::print("{:<18} {:>14} {:>4} {:<18} {:9.1f} {}\n", name_of(node.operation),
               fmt::format("{}x{}x{}", node.shape.channels, node.shape.height, node.shape.width),
               fmt::format("{}x{}", node.window.height, node.window.width), step.method, 1e6 * time, rate(flops, time));
    seconds += time;
    all += flops;
  }
  fmt::print("{:<57} {:9.1f} {}\n{:.0f} images/s on one thread; peak {:.1f} GFLOP/s\n", "all", 1e6 * seconds,
             rate(all, seconds), 1 / seconds, peak / 1e9);
}

int layers(const LayersWords& words) {
  NetworkSpec spec;
  spec.architecture = words.arch;
  const auto graph = make_fused_graph(spec);
  const auto network = make_network(spec);
  const auto [set, precision] = parse_arithmetic(words.instruction_set, words.dtype);
  Plan plan(graph, {set, words.batch_size, precision});
  plan.load(tensors_of(state_of(*network)));  // the first time, memory is still to be had
  const Stopwatch loading;
  plan.load(tensors_of(state_of(*network)));
  const double load_seconds = loading.seconds();
  const auto images = at::rand({words.batch_size, spec.input[0], spec.input[1], spec.input[2]});
  std::vector<float> logits(static_cast<std::size_t>(words.batch_size * plan.classes()));
  const PlanarImages batch{images.data_ptr<float>(), words.batch_size, spec.input[0], spec.input[1], spec.input[2]};
  plan.run(batch, logits);
  plan.measure();
  for (std::int64_t i = 0; i < words.repeats; ++i) plan.run(batch, logits);
  print_times(plan, static_cast<double>(words.repeats * words.batch_size), measure_peak(kernels_of(set)));
  fmt::print("parameters folded and packed in {:.1f} ms a point; {:.0f} MB a thread\n", 1e3 * load_seconds,
             static_cast<double>(plan.memory()) / 1e6);
  return kDone;
}

}  // namespace

void add_layers(CLI::App& app, CommandContext& context) {
  auto* command = app.add_subcommand("layers", "Time the layers of a network on the fused engine, one thread");
  const auto words = std::make_shared<LayersWords>();
  command->option_defaults()->group("What is timed");
  command->add_option("--arch", words->arch, "architecture; `lossatlas info --archs` lists them")->required();
  command->add_option("--batch-size", words->batch_size, "images in one forward pass")
      ->transform(whole_number(1, 100'000))
      ->capture_default_str();
  command->option_defaults()->group("Speed");
  command->add_option("--repeats", words->repeats, "forward passes")
      ->transform(whole_number(1, 100'000))
      ->capture_default_str();
  command->add_option("--instruction-set", words->instruction_set, "auto, amx, avx512, avx2 or portable")
      ->capture_default_str();
  command->add_option("--dtype", words->dtype, "fp32 or bf16")->capture_default_str();
  command->callback([words, &context] { context.status = layers(*words); });
}

}  // namespace lossatlas
