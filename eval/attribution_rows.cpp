#include "eval/attribution_rows.h"

#include <algorithm>
#include <map>

namespace crossloom::eval {
namespace {

using architectures::LayerCodes;

at::Tensor int32_tensor(const std::vector<int32_t>& values) {
  return at::from_blob(const_cast<int32_t*>(values.data()), {static_cast<int64_t>(values.size())},
                       at::TensorOptions(at::kInt))
      .clone();
}

at::Tensor int64_tensor(const std::vector<int64_t>& values) {
  return at::from_blob(const_cast<int64_t*>(values.data()), {static_cast<int64_t>(values.size())},
                       at::TensorOptions(at::kLong))
      .clone();
}

/// The codes without those of position 0.
LayerCodes without_first_position(const LayerCodes& codes) {
  const int64_t skipped = codes.offsets[1].item<int64_t>();
  at::Tensor offsets = (codes.offsets - skipped).clamp_min(0);
  return {.offsets = offsets,
          .index = codes.index.narrow(0, skipped, codes.count() - skipped).contiguous(),
          .value = codes.value.narrow(0, skipped, codes.count() - skipped).contiguous()};
}

void append_active(int64_t layer, const LayerCodes& codes, std::vector<FeatureNode>& active) {
  const at::Tensor values = codes.value.to(at::kDouble);
  const auto* offset = codes.offsets.const_data_ptr<int64_t>();
  const auto* index = codes.index.const_data_ptr<int32_t>();
  const auto* value = values.const_data_ptr<double>();
  for (int64_t p = 0; p < codes.tokens(); ++p) {
    for (int64_t i = offset[p]; i < offset[p + 1]; ++i) {
      active.push_back({static_cast<int32_t>(layer), static_cast<int32_t>(p), index[i], value[i]});
    }
  }
}

template <typename Real>
void add_to_columns_typed(const at::Tensor& effects, const at::Tensor& columns, at::Tensor& row) {
  const auto* from = effects.const_data_ptr<Real>();
  const auto* column = columns.const_data_ptr<int64_t>();
  auto* to = row.mutable_data_ptr<Real>();
  for (int64_t b = 0; b < effects.size(0); ++b) {
    for (int64_t i = 0; i < effects.size(1); ++i) {
      to[b * row.size(1) + column[i]] += from[b * effects.size(1) + i];
    }
  }
}

/// row[b, columns[i]] += effects[b, i]: effects [B, n], columns int64 [≥ n], row [B, N].
/// (index_add_ along columns costs a tensor iteration for each of them.)
void add_to_columns(const at::Tensor& effects, const at::Tensor& columns, at::Tensor& row) {
  if (row.scalar_type() == at::kDouble) {
    add_to_columns_typed<double>(effects, columns, row);
  } else {
    add_to_columns_typed<float>(effects, columns, row);
  }
}

/// Moves the batch's finished rows, biases and measured pre-activations into `rows`.
void store(const at::Tensor& row, const AdjointState& state, const std::vector<int64_t>& owners,
           const std::vector<double>& own_bias, const std::vector<double>& measured,
           AttributionRows& rows) {
  const at::Tensor values = row.to(at::kDouble).contiguous();
  const at::Tensor bias = state.bias.to(at::kDouble);
  const at::Tensor absolute = state.bias_absolute.to(at::kDouble);
  const auto width = static_cast<size_t>(values.size(1));
  for (size_t b = 0; b < owners.size(); ++b) {
    const auto i = static_cast<int64_t>(b);
    const RowFacts facts{bias[i].item<double>() + own_bias[b],
                         absolute[i].item<double>() + std::abs(own_bias[b]), measured[b]};
    rows.add(owners[b], std::span(values.const_data_ptr<double>() + b * width, width), facts);
  }
}

}  // namespace

LocalModel make_local_model(const models::Transformer& model,
                            const architectures::Transcoder& transcoder,
                            const models::FrozenRun& run) {
  const auto& shape = transcoder.shape();
  const auto& spec = model.spec();
  if (shape.layers != spec.layers || shape.width != spec.width) {
    throw DataError({.what = "The transcoder does not fit the model",
                     .expected = fmt::format("{} layers of width {}", spec.layers, spec.width),
                     .got = fmt::format("{} layers of width {}", shape.layers, shape.width),
                     .where = transcoder.options().architecture,
                     .hint = "Use the model the transcoder was trained on."});
  }
  LocalModel local{model, transcoder, run, {}, {}, {}};
  architectures::Codes codes;
  std::vector<at::Tensor> reconstruction;
  for (int64_t l = 0; l < shape.layers; ++l) {
    const auto& u = run.feature_input[static_cast<size_t>(l)];
    codes.push_back(without_first_position(transcoder.filter(l, transcoder.propose(l, u))));
    append_active(l, codes.back(), local.active);
    reconstruction.push_back(at::empty_like(u));
    local.decoder_bias.push_back(
        architectures::find_parameter(transcoder, fmt::format("b_dec_{}", l)));
  }
  transcoder.decode(codes, run.feature_input, {0, shape.width}, reconstruction);
  for (size_t l = 0; l < reconstruction.size(); ++l) {
    at::Tensor error = run.mlp_out[l] - reconstruction[l];
    error[0].zero_();
    local.errors.push_back(error);
  }
  return local;
}

RowEngine::RowEngine(const LocalModel& local) : local_(local), adjoint_(local.model, local.run) {
  for (int64_t l = 0; l < local.model.spec().layers; ++l) {
    writes_.push_back(gather_writes(l));
  }
}

NodeLayout RowEngine::full_layout(int64_t targets) const {
  return {static_cast<int64_t>(local_.active.size()), local_.model.spec().layers,
          local_.run.embedding.size(0), targets};
}

RowEngine::Writes RowEngine::gather_writes(int64_t layer) const {
  const int64_t positions = local_.run.embedding.size(0);
  std::vector<std::vector<int64_t>> by_position(static_cast<size_t>(positions));
  struct Features {
    std::vector<int64_t> numbers;  // among the active ones
    std::vector<int32_t> indices;
    std::vector<double> activations;
  };
  std::map<int64_t, Features> by_source;
  const auto options = local_.run.embedding.options();
  const auto real_tensor = [&](const std::vector<double>& values) {
    return at::tensor(values, at::TensorOptions(at::kDouble)).to(options);
  };
  for (size_t i = 0; i < local_.active.size() && local_.active[i].layer <= layer; ++i) {
    Features& features = by_source[local_.active[i].layer];
    features.numbers.push_back(static_cast<int64_t>(i));
    features.indices.push_back(local_.active[i].index);
    features.activations.push_back(local_.active[i].activation);
  }
  std::vector<int64_t> numbers;  // of gathered vectors, by source layer
  std::vector<at::Tensor> vectors;
  for (const auto& [source, list] : by_source) {
    const at::Tensor rows = local_.transcoder.written_rows(
        source, layer, int32_tensor(list.indices), real_tensor(list.activations));
    if (rows.defined()) {
      numbers.insert(numbers.end(), list.numbers.begin(), list.numbers.end());
      vectors.push_back(rows);
    }
  }
  for (size_t i = 0; i < numbers.size(); ++i) {
    const auto& feature = local_.active[static_cast<size_t>(numbers[i])];
    by_position[static_cast<size_t>(feature.position)].push_back(static_cast<int64_t>(i));
  }
  Writes writes;
  std::vector<int64_t> order, columns;
  std::vector<double> activations;
  for (const auto& members : by_position) {
    writes.begin.push_back(static_cast<int64_t>(order.size()));
    for (const int64_t i : members) {
      order.push_back(i);
      columns.push_back(numbers[static_cast<size_t>(i)]);
      activations.push_back(local_.active[static_cast<size_t>(columns.back())].activation);
    }
  }
  writes.begin.push_back(static_cast<int64_t>(order.size()));
  writes.columns = int64_tensor(columns);
  writes.vectors = vectors.empty() ? at::empty({0, local_.model.spec().width}, options)
                                   : at::cat(vectors).index_select(0, int64_tensor(order)) *
                                         real_tensor(activations).unsqueeze(1);
  return writes;
}

void RowEngine::contract(int64_t layer, AdjointState& state, at::Tensor& row) const {
  const auto l = static_cast<size_t>(layer);
  const at::Tensor& gradient = state.gradient;  // [B, n, D]
  const int64_t positions = gradient.size(1);
  const auto layout = full_layout(0);
  const Writes& writes = writes_[l];
  std::vector<at::Tensor> effects;
  for (int64_t p = 1; p < positions; ++p) {
    const int64_t begin = writes.begin[static_cast<size_t>(p)];
    const int64_t count = writes.begin[static_cast<size_t>(p) + 1] - begin;
    if (count > 0) {
      effects.push_back(at::mm(gradient.select(1, p), writes.vectors.narrow(0, begin, count).t()));
    }
  }
  if (!effects.empty()) {
    add_to_columns(at::cat(effects, 1), writes.columns, row);
  }
  row.narrow(1, layout.error(layer, 0), positions)
      .add_((gradient * local_.errors[l].narrow(0, 0, positions)).sum(-1));
  add_bias_parts(state, (gradient.select(1, 0) * local_.run.mlp_out[l][0]).sum(-1, true));
  if (positions > 1) {
    add_bias_parts(state, at::matmul(gradient.narrow(1, 1, positions - 1), local_.decoder_bias[l]));
  }
}

/// Contracts layers from_layer … 0 and the tokens; state is at the residual leaving from_layer.
at::Tensor RowEngine::descend(int64_t from_layer, AdjointState& state) const {
  const auto layout = full_layout(0);
  const int64_t positions = state.gradient.size(1);
  at::Tensor row = at::zeros({state.gradient.size(0), layout.first_target()},
                             state.gradient.options());  // [B, N_f + L·S + S]
  for (int64_t l = from_layer; l >= 0; --l) {
    contract(l, state, row);
    adjoint_.pull_through(l, local_.transcoder.skip_weight(l), state);
  }
  row.narrow(1, layout.first_token(), positions)
      .add_((state.gradient * local_.run.embedding.narrow(0, 0, positions)).sum(-1));
  return row;
}

void RowEngine::add_layer_rows(int64_t layer, const std::vector<int64_t>& features,
                               AttributionRows& rows) const {
  std::vector<int64_t> positions;
  std::vector<int32_t> indices;
  for (const int64_t f : features) {
    positions.push_back(local_.active[static_cast<size_t>(f)].position);
    indices.push_back(local_.active[static_cast<size_t>(f)].index);
  }
  const at::Tensor index = int32_tensor(indices);
  const at::Tensor v = local_.transcoder.read_rows(layer, index);  // [B, D]
  const at::Tensor b_enc =
      architectures::find_parameter(local_.transcoder, fmt::format("b_enc_{}", layer))
          .index_select(0, index.to(at::kLong))
          .to(at::kDouble);
  const at::Tensor u =
      local_.run.feature_input[static_cast<size_t>(layer)].index_select(0, int64_tensor(positions));
  const at::Tensor pre = (u.to(at::kDouble) * v.to(at::kDouble)).sum(1) + b_enc;
  AdjointState state = adjoint_.inject_features(layer, v, positions);
  const at::Tensor row = descend(layer - 1, state);
  const auto count = features.size();
  store(row, state, features,
        {b_enc.const_data_ptr<double>(), b_enc.const_data_ptr<double>() + count},
        {pre.const_data_ptr<double>(), pre.const_data_ptr<double>() + count}, rows);
}

void RowEngine::add_feature_rows(const std::vector<int64_t>& features, int64_t batch,
                                 AttributionRows& rows) const {
  std::map<int64_t, std::vector<int64_t>> by_layer;  // (layer, position) order inside: shared cones
  std::vector<int64_t> sorted = features;
  std::sort(sorted.begin(), sorted.end());
  for (const int64_t f : sorted) {
    by_layer[local_.active[static_cast<size_t>(f)].layer].push_back(f);
  }
  for (const auto& [layer, members] : by_layer) {
    for (size_t begin = 0; begin < members.size(); begin += static_cast<size_t>(batch)) {
      const size_t end = std::min(members.size(), begin + static_cast<size_t>(batch));
      add_layer_rows(layer,
                     {members.begin() + static_cast<std::ptrdiff_t>(begin),
                      members.begin() + static_cast<std::ptrdiff_t>(end)},
                     rows);
    }
  }
}

void RowEngine::add_target_rows(const at::Tensor& vectors, const std::vector<double>& measured,
                                AttributionRows& rows) const {
  const auto layout = full_layout(vectors.size(0));
  AdjointState state = adjoint_.inject_logits(vectors);
  const at::Tensor row = descend(local_.model.spec().layers - 1, state);
  std::vector<int64_t> owners;
  for (int64_t q = 0; q < vectors.size(0); ++q) {
    owners.push_back(layout.target(q));
  }
  store(row, state, owners, std::vector<double>(owners.size(), 0.0), measured, rows);
}

}  // namespace crossloom::eval
