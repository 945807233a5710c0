#include "evaluation/program.h"

#include "models/network.h"
#include "models/registry.h"

namespace lossatlas {
namespace {

class NetworkProgram : public Program {
 public:
  explicit NetworkProgram(const NetworkSpec& spec) : network_(make_network(spec)) {
    network_->eval();
    own_ = state_of(*network_);
    for (const auto& [name, tensor] : own_.parameters) parameters_.push_back(tensor.requires_grad_(false));
  }

  void load(const NetworkTensors& state) override {
    use_tensors(own_.parameters, state.parameters);
    use_tensors(own_.buffers, state.buffers);
  }

  const std::vector<at::Tensor>& parameters() const override { return parameters_; }

  at::Tensor run(const Batch& batch) override { return network_->forward(batch.inputs.front()); }

 private:
  std::shared_ptr<Network> network_;
  NetworkTensors own_;
  std::vector<at::Tensor> parameters_;
};

}  // namespace

std::unique_ptr<Program> make_program(const NetworkSpec& network) { return std::make_unique<NetworkProgram>(network); }

}  // namespace lossatlas
