#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "programs/exported_graph.h"
#include "programs/stored_zip.h"

namespace lossatlas {

/// A parameter of the network, as `export_problem` (python/lossatlas) stores it.
struct ProblemParameter {
  std::string name;
  at::Tensor tensor;
  bool is_trained = true;            // it moves
  std::string module, module_class;  // that owns it: "blocks.0.attn.qkv", "Linear"
  std::optional<std::int64_t>
      slice_axis;  // of filter normalization: one slice an index of it; nothing for one dimension
  struct Head {
    std::int64_t axis, size;  // each `size` indices of the axis belong to one head
  };
  std::optional<Head> head;
  bool has_unknown_heads = false;  // a matrix of attention, of how many heads nobody says
};

struct ProblemBuffer {
  std::string name;
  at::Tensor tensor;
  bool is_persistent = true;  // a state_dict has it
};

/// A batch norm that keeps statistics: names of its buffers.
struct ProblemBatchNorm {
  std::string module, running_mean, running_var, num_batches_tracked;
  std::optional<double> momentum;
};

/// One tensor of a batch, without its first dimension.
struct ProblemInput {
  std::string name;
  at::ScalarType type = at::kFloat;
  std::vector<std::int64_t> shape;
};

/// The input of class labels, of a loss by name.
struct ProblemTarget {
  std::size_t input = 0;
  std::int64_t classes = 0;       // labels are below
  std::int64_t ignore_index = 0;  // except for this one, which does not count
};

/// How pixels of images, p in 0 … 1, became its input: (p - mean[c]) / deviation[c].
struct ProblemNormalization {
  std::vector<double> mean, deviation;
};

/// One tensor for each input; their first dimension counts the samples.
struct ProblemSamples {
  std::vector<at::Tensor> inputs;
  std::int64_t count = 0;
};

/// A network, its loss and its samples in one file: a stored zip that holds no code and no pickle
/// (docs/file-format.md). Tensors are mapped from the file: read only, and from the disk when they are first used.
class ProblemFile {
 public:
  /// Reads everything but the samples. Throws Error, with the file's name and what is wrong.
  explicit ProblemFile(const std::filesystem::path& file);

  /// Whether a file is one, by its members: it may be damaged. False for what cannot be read.
  static bool is_problem(const std::filesystem::path& file);

  const std::filesystem::path& file() const { return path_; }
  /// Of the manifest, which holds the digests of all members: equal digests mean equal files.
  const std::string& sha256() const { return sha256_; }
  /// Of the samples of a split: a digest of its tensors' digests.
  const std::string& data_sha256(bool test) const { return test ? test_sha256_ : data_sha256_; }
  const std::vector<ProblemParameter>& parameters() const { return parameters_; }
  const std::vector<ProblemBuffer>& buffers() const { return buffers_; }
  /// Further names of tied tensors, with the name under which each is listed.
  const std::map<std::string, std::string>& aliases() const { return aliases_; }
  const std::vector<ProblemBatchNorm>& batch_norms() const { return batch_norms_; }
  const std::vector<ProblemInput>& inputs() const { return inputs_; }
  const std::optional<ProblemTarget>& target() const { return target_; }
  /// As it was told to the exporter.
  const std::optional<ProblemNormalization>& normalization() const { return normalization_; }
  /// What the graph gives for each sample: "loss", then measures and perhaps "weight".
  const std::vector<std::string>& outputs() const { return outputs_; }
  const std::string& model() const { return model_; }
  const std::string& loss() const { return loss_; }
  /// Samples of a batch; the only possible number if is_fixed_batch().
  std::int64_t batch_size() const { return batch_size_; }
  bool is_fixed_batch() const { return is_fixed_batch_; }
  /// The loss of a sample depends on the others of its batch.
  bool is_coupled() const { return is_coupled_; }
  bool can_recalibrate() const { return train_.has_value(); }
  const ProblemSamples& data() const { return data_; }
  const std::optional<ProblemSamples>& test() const { return test_; }

  /// The outputs [N] for the parameters and buffers given, in the file's order, and a batch; with batch norm in train
  /// mode `train`, which changes the buffers. float32 or float64. Throws Error if an operator fails, or gives what is
  /// not [N].
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& parameters, const std::vector<at::Tensor>& buffers,
                              const std::vector<at::Tensor>& batch, const at::Device& device, bool train = false) const;

  /// The graph with batch norm in evaluation mode, and its constants.
  const ExportedGraph& graph() const { return eval_->graph; }
  const std::vector<at::Tensor>& constants() const { return eval_->constants; }

  /// Samples whose outputs PyTorch had when the file was written.
  std::size_t reference_samples() const { return reference_.front().size(); }
  /// Runs the stored parameters on the first samples and compares with what PyTorch had there. Throws Error if an
  /// output differs by more than float32 leaves. In a process of its own: LibTorch trusts what a graph asks for, and
  /// some operators end the process.
  void check_reference() const;
  /// The same in this process.
  void compare_with_reference() const;
  /// Throws Error if a member does not have the SHA-256 that the manifest gives. Reads the whole file.
  void check_members() const;
  /// Throws Error if a sample has NaN.
  void check_samples() const;

 private:
  struct Graph {
    ExportedGraph graph;
    std::vector<at::Tensor> constants;
  };
  void read(const nlohmann::json& manifest);
  void read_inputs(const nlohmann::json& manifest);
  void check_tensors() const;
  void check_numbers(const ProblemSamples& samples) const;
  Graph read_graph(const nlohmann::json& entry) const;
  ProblemSamples read_samples(const nlohmann::json& split) const;
  std::string digest_of_samples(const nlohmann::json& manifest, const nlohmann::json& split) const;
  at::Tensor tensor(const std::string& member, at::ScalarType type, std::vector<std::int64_t> shape) const;
  at::Tensor tensor_of(const nlohmann::json& entry) const;

  std::filesystem::path path_;
  StoredZip zip_;
  std::string sha256_, data_sha256_, test_sha256_;
  std::vector<ProblemParameter> parameters_;
  std::vector<ProblemBuffer> buffers_;
  std::map<std::string, std::string> aliases_;
  std::vector<ProblemBatchNorm> batch_norms_;
  std::vector<ProblemInput> inputs_;
  std::optional<ProblemTarget> target_;
  std::optional<ProblemNormalization> normalization_;
  std::vector<std::string> outputs_;
  std::string model_, loss_;
  std::int64_t batch_size_ = 0;
  bool is_fixed_batch_ = false, is_coupled_ = false;
  std::optional<Graph> eval_, train_;
  ProblemSamples data_;
  std::optional<ProblemSamples> test_;
  std::vector<std::vector<double>> reference_;  // of each output, for the first samples
};

}  // namespace lossatlas
