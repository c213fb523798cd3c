// Every option of every architecture with its default, in one place.
#pragma once

#include <string>

#include "common/options.h"

namespace crossloom::architectures {

struct JumpReluOptions : Options {
  double threshold = 0.03;                   // θ₀ (inputs of about unit variance)
  double bandwidth = 1.0;                    // ε
  std::string threshold_gradient = "theta";  // −θ/ε; "pre": −h/ε
  std::string input_gradient = "masked";

  void visit(OptionVisitor& v) override {
    v.field("threshold", threshold, "initial threshold of every feature");
    v.field("bandwidth", bandwidth, "width of the rectangle that stands for the step's gradient");
    v.field("threshold_gradient", threshold_gradient, "theta: −θ/ε; pre: −h/ε");
    v.field("input_gradient", input_gradient,
            "masked: where h > θ; positive: where h ≥ 0; all: everywhere");
  }
};

struct InitOptions : Options {
  std::string encoder = "width";  // U(±1/√D); "features": U(±1/√F)
  double encoder_scale = 1.0;     // times that; larger: learnt more slowly, relative to its size
  std::string decoder = "zeros";  // "uniform": U(±1/√(L·D))

  void visit(OptionVisitor& v) override {
    v.field("encoder", encoder, "width: U(±1/√D); features: U(±1/√F)");
    v.field("encoder_scale", encoder_scale, "times that; larger rows change more slowly");
    v.field("decoder", decoder, "zeros, or uniform: U(±1/√(L·D))");
  }
};

struct TranscoderOptions : Options {
  std::string architecture = "clt-topk";
  int64_t features = 576;  // F
  int64_t k = 16;          // K, TopK types
  int64_t window = -1;     // clt rows: targets at most so many layers ahead; −1: all
  int64_t seed = 1;        // initial weights
  JumpReluOptions jumprelu;
  InitOptions init;

  void visit(OptionVisitor& v) override {
    v.field("architecture", architecture, "registry name of the transcoder");
    v.field("features", features, "features per layer (F)");
    v.field("k", k, "features kept per layer and token (K), TopK types");
    v.field("window", window, "clt types: layers ahead a feature writes to; -1: all");
    v.field("seed", seed, "seed of the initial weights");
    v.group("jumprelu", jumprelu, "thresholds and their gradients, JumpReLU types");
    v.group("init", init, "initial weights");
  }
};

}  // namespace crossloom::architectures
