// crossloom inspect MODEL: what the model is, where it can be read, what it costs.
#include <cstdio>

#include "common/format.h"
#include "launch/commands.h"
#include "models/hooks.h"
#include "models/model_spec.h"
#include "models/tokenizer.h"

namespace crossloom::launch {
namespace {

struct InspectOptions : Options {
  std::string model;
  void visit(OptionVisitor& v) override {
    v.field("model", model, "Hugging Face folder (config.json, *.safetensors, tokenizer.json)");
  }
};

void print_spec(const models::ModelSpec& spec) {
  fmt::print("family            {}\n", spec.family);
  fmt::print("layers        L   {}\n", spec.layers);
  fmt::print("width         D   {}\n", spec.width);
  fmt::print("heads         H   {} ({} for keys and values), {} wide\n", spec.heads, spec.kv_heads,
             spec.head_width);
  fmt::print("MLP width     I   {}\n", spec.mlp_width);
  fmt::print("vocabulary    V   {}{}\n", spec.vocabulary,
             spec.tied_embedding ? ", unembedding tied to the embedding" : "");
  fmt::print("context           {} tokens\n", spec.context);
  fmt::print("norm              RMSNorm, epsilon {}\n", spec.norm_epsilon);
  fmt::print("positions         RoPE, base {}\n", spec.rope_base);
  fmt::print("BOS, EOS          {}, [{}]\n", spec.bos_id, fmt::join(spec.eos_ids, ", "));
}

void print_costs(const models::ModelSpec& spec) {
  const auto gemm_parameters = spec.parameter_count() - spec.vocabulary * spec.width;
  fmt::print("parameters        {}\n", spec.parameter_count());
  fmt::print("weights           {} in bfloat16, {} in float32, {} in float64\n",
             human_bytes(double(spec.weight_bytes(2))), human_bytes(double(spec.weight_bytes(4))),
             human_bytes(double(spec.weight_bytes(8))));
  fmt::print("KV cache          {} per token in bfloat16\n",
             human_bytes(double(4 * spec.layers * spec.kv_heads * spec.head_width)));
  fmt::print("forward           {:.2f} GFLOP per token without the unembedding\n",
             2e-9 * double(gemm_parameters));
  fmt::print("shards            {} per token (inputs and targets of all layers, bfloat16)\n",
             human_bytes(double(4 * spec.layers * spec.width)));
}

void run(InspectOptions& options, Context& context) {
  require_set("model", options.model, "model folder");
  const auto spec = models::read_model_spec(options.model);
  if (context.communicator.rank() != 0) {
    return;
  }
  print_spec(spec);
  print_costs(spec);
  fmt::print("hook points       ");
  for (int i = 0; i < static_cast<int>(models::HookPoint::kCount); ++i) {
    fmt::print("{}{}", i == 0 ? "" : ", ", models::hook_name(static_cast<models::HookPoint>(i)));
  }
  const auto tokenizer = models::Tokenizer::load(options.model);
  fmt::print("\ntokenizer         {} tokens, hash {}\n", tokenizer.vocabulary_size(),
             tokenizer.hash());
}

}  // namespace

Command inspect_command() {
  return make_command<InspectOptions>(
      "inspect", "a model's spec, hook points, parameters and memory", {"model"}, run);
}

}  // namespace crossloom::launch
