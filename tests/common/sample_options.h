// An option struct with every kind of field, for the tests and the YAML fuzzer.
#pragma once

#include "common/options.h"

namespace crossloom {

struct OptimiserOptions : Options {
  double rate = 3e-4;
  bool fused = true;
  std::vector<std::string> skip = {"bias"};
  void visit(OptionVisitor& v) override {
    v.field("rate", rate, "learning rate");
    v.field("fused", fused, "update inside the backward pass");
    v.field("skip", skip, "parameters without decay");
  }
};

struct SampleOptions : Options {
  int64_t steps = 100;
  std::string name = "run";
  OptimiserOptions optimiser;
  void visit(OptionVisitor& v) override {
    v.field("steps", steps, "optimizer steps");
    v.field("name", name, "what the run is called");
    v.group("optimiser", optimiser, "how parameters move");
  }
};

}  // namespace crossloom
