#include "models/residual.h"

#include <memory>

#include "models/layers.h"

namespace lossatlas {
namespace {

struct BlockShape {
  Skip skip;
  std::int64_t in, planes, out, stride;
};

// Modules are registered in the order of the Python classes, which is the order of parameters().
class Block : public torch::nn::Module {
 public:
  explicit Block(const BlockShape& shape) : shape_(shape) {}
  virtual torch::Tensor forward(torch::Tensor x) = 0;

 protected:
  // Where the block keeps size and channels, the skip is the input itself and has no module.
  void register_projection() {
    if (shape_.skip == Skip::none || shape_.skip == Skip::pad || keeps_shape()) {
      return;
    }
    projection_ =
        torch::nn::Sequential(conv1x1(shape_.in, shape_.out, shape_.stride), torch::nn::BatchNorm2d(shape_.out));
    register_module(shape_.skip == Skip::shortcut ? "shortcut" : "downsample", projection_);
  }

  bool skips() const { return shape_.skip != Skip::none; }

  torch::Tensor skip(const torch::Tensor& x) {
    if (shape_.skip == Skip::pad && !keeps_shape()) return padded(x);
    return projection_.is_empty() ? x : projection_->forward(x);
  }

 private:
  bool keeps_shape() const { return shape_.stride == 1 && shape_.in == shape_.out; }

  torch::Tensor padded(const torch::Tensor& x) const {
    const std::int64_t before = (shape_.out - shape_.in) / 2;
    return torch::constant_pad_nd(torch::avg_pool2d(x, 1, shape_.stride),
                                  {0, 0, 0, 0, before, shape_.out - shape_.in - before});
  }

  BlockShape shape_;
  torch::nn::Sequential projection_ = nullptr;
};

class BasicBlock : public Block {
 public:
  explicit BasicBlock(const BlockShape& shape)
      : Block(shape),
        conv1_(register_module("conv1", conv3x3(shape.in, shape.planes, shape.stride))),
        bn1_(register_module("bn1", torch::nn::BatchNorm2d(shape.planes))),
        conv2_(register_module("conv2", conv3x3(shape.planes, shape.out))),
        bn2_(register_module("bn2", torch::nn::BatchNorm2d(shape.out))) {
    register_projection();
  }

  // In place where the operand is the batch norm's fresh output: that spares a pass over memory.
  torch::Tensor forward(torch::Tensor x) override {
    torch::Tensor out = bn1_(conv1_(x)).relu_();
    out = bn2_(conv2_(out));
    if (skips()) {
      out.add_(skip(x));
    }
    return out.relu_();
  }

 private:
  torch::nn::Conv2d conv1_;
  torch::nn::BatchNorm2d bn1_;
  torch::nn::Conv2d conv2_;
  torch::nn::BatchNorm2d bn2_;
};

class Bottleneck : public Block {
 public:
  explicit Bottleneck(const BlockShape& shape)
      : Block(shape),
        conv1_(register_module("conv1", conv1x1(shape.in, shape.planes))),
        bn1_(register_module("bn1", torch::nn::BatchNorm2d(shape.planes))),
        conv2_(register_module("conv2", conv3x3(shape.planes, shape.planes, shape.stride))),
        bn2_(register_module("bn2", torch::nn::BatchNorm2d(shape.planes))),
        conv3_(register_module("conv3", conv1x1(shape.planes, shape.out))),
        bn3_(register_module("bn3", torch::nn::BatchNorm2d(shape.out))) {
    register_projection();
  }

  torch::Tensor forward(torch::Tensor x) override {
    torch::Tensor out = bn1_(conv1_(x)).relu_();
    out = bn2_(conv2_(out)).relu_();
    out = bn3_(conv3_(out));
    if (!skips()) {
      return out;
    }
    out.add_(skip(x));
    return out.relu_();
  }

 private:
  torch::nn::Conv2d conv1_;
  torch::nn::BatchNorm2d bn1_;
  torch::nn::Conv2d conv2_;
  torch::nn::BatchNorm2d bn2_;
  torch::nn::Conv2d conv3_;
  torch::nn::BatchNorm2d bn3_;
};

std::shared_ptr<Block> make_block(BlockKind kind, const BlockShape& shape) {
  if (kind == BlockKind::basic) {
    return std::make_shared<BasicBlock>(shape);
  }
  return std::make_shared<Bottleneck>(shape);
}

}  // namespace

std::int64_t expansion(BlockKind kind) { return kind == BlockKind::basic ? 1 : 4; }

torch::nn::Sequential make_stage(const StageShape& shape) {
  torch::nn::Sequential stage;
  BlockShape block{.skip = shape.skip,
                   .in = shape.in,
                   .planes = shape.planes,
                   .out = shape.planes * expansion(shape.kind),
                   .stride = shape.stride};
  for (std::int64_t i = 0; i < shape.blocks; ++i) {
    stage->push_back(make_block(shape.kind, block));
    block.in = block.out;
    block.stride = 1;
  }
  return stage;
}

}  // namespace lossatlas
