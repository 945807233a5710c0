#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "programs/exported_graph.h"

namespace lossatlas {

/// A classifier of images as torch.export.save writes it: a graph, and the tensors that it reads.
struct ExportedProgram {
  /// For which sizes of the images the graph is true.
  struct Size {
    std::int64_t example = 0;  // that it was exported with; 0: unknown
    std::int64_t least = 0, most = 0;
  };

  ExportedGraph graph;
  std::array<Size, 4> sizes{};      // [N, C, H, W]
  std::size_t images = 0;           // which of graph.inputs() they are
  std::vector<at::Tensor> tensors;  // of each of graph.inputs(), undefined for the images; tied ones are one memory
};

/// `model`: models/model.json of a .pt2 file. `find`: the tensor of an input. Throws Error, without a file's name, as
/// ExportedGraph does, and if it is no graph of one batch of float32 images with one result, or holds under
/// conditions other than ranges of their sizes.
ExportedProgram read_exported_program(const nlohmann::json& model,
                                      const std::function<at::Tensor(const GraphInput&)>& find);

}  // namespace lossatlas
