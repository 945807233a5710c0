#include "jobs/layers.h"

#include <fmt/format.h>

#include <memory>

#include "cli/command.h"
#include "cli/inputs.h"

namespace lossatlas {
namespace {

int layers(const LayersRequest& request) {
  const LayerTimes times = time_layers(request);
  fmt::print("{:<18} {:>14} {:>4} {:<18} {:>9} {:>8} {:>7}\n", "operation", "result", "size", "method", "us/image",
             "GFLOP/s", "of peak");
  double seconds = 0, flops = 0;
  const auto rate = [&](double operations, double time) {
    return operations > 0
               ? fmt::format("{:8.1f} {:6.0f}%", operations / time / 1e9, 100 * operations / time / times.peak)
               : "";
  };
  for (const LayerTime& layer : times.layers) {
    fmt::print("{:<18} {:>14} {:>4} {:<18} {:9.1f} {}\n", layer.operation,
               fmt::format("{}", fmt::join(layer.result, "x")), fmt::format("{}", fmt::join(layer.window, "x")),
               layer.method, 1e6 * layer.seconds, rate(layer.flops, layer.seconds));
    seconds += layer.seconds;
    flops += layer.flops;
  }
  fmt::print("{:<57} {:9.1f} {}\n{:.0f} images/s on one thread; peak {:.1f} GFLOP/s\n", "all", 1e6 * seconds,
             rate(flops, seconds), 1 / seconds, times.peak / 1e9);
  fmt::print("parameters folded and packed in {:.1f} ms a point; {:.0f} MB a thread\n", 1e3 * times.load_seconds,
             static_cast<double>(times.memory) / 1e6);
  return kDone;
}

}  // namespace

void add_layers(CLI::App& app, CommandContext& context) {
  auto* command = app.add_subcommand("layers", "Time the layers of a network on the fused engine, one thread");
  const auto words = std::make_shared<LayersRequest>();
  command->option_defaults()->group("What is timed");
  command->add_option("--arch", words->arch, "the architecture; `lossatlas info --archs` lists them");
  command->add_option("--problem", words->problem, "your own network: a file of Python's lossatlas.export_problem")
      ->type_name("FILE");
  command->add_option("--batch-size", words->batch_size, "images in one forward pass")
      ->transform(whole_number(1, 100'000))
      ->capture_default_str();
  command->option_defaults()->group("Speed");
  command->add_option("--repeats", words->repeats, "forward passes")
      ->transform(whole_number(1, 100'000))
      ->capture_default_str();
  command
      ->add_option("--instruction-set", words->instruction_set, "of the kernels: auto, amx, avx512, avx2 or portable")
      ->capture_default_str();
  command->add_option("--dtype", words->dtype, "precision of products: fp32 or bf16")->capture_default_str();
  command->callback([words, &context] { context.status = layers(*words); });
}

}  // namespace lossatlas
