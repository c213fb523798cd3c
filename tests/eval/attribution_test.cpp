// Attribution on a tiny model in float64: the hand-written adjoint equals autograd through the
// frozen model, every row sums to its pre-activation, edges equal measured changes, nothing depends
// on how rows are batched.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "eval/attribute.h"
#include "tests/support/expect_error.h"
#include "tests/support/tiny_transcoder.h"

namespace crossloom::eval {
namespace {

using models::HookPoint;

constexpr double kRowResidual = 1e-12;  // design: float64
constexpr double kOracle = 1e-10;

struct Case {
  HookPoint input;
  const char* architecture;
  bool biases;
};

class Attribution : public ::testing::TestWithParam<Case> {
 protected:
  std::vector<int64_t> all_features() const {
    std::vector<int64_t> features(local_.active.size());
    std::iota(features.begin(), features.end(), 0);
    return features;
  }

  /// u_l[p] · w of one active feature on the frozen model with these leaves, plus b_enc.
  at::Tensor frozen_pre_activation(const FeatureNode& feature,
                                   const models::FrozenOutputs& outputs) const {
    const at::Tensor index = at::tensor({feature.index}, at::kInt);
    return outputs.feature_input[static_cast<size_t>(feature.layer)][feature.position].dot(
        transcoder_->read_rows(feature.layer, index)[0]);
  }

  /// The skips of every layer; empty when the architecture has none.
  std::vector<at::Tensor> skips() const {
    std::vector<at::Tensor> weights;
    for (int64_t l = 0; transcoder_->skip_weight(0).defined() && l < 3; ++l) {
      weights.push_back(transcoder_->skip_weight(l));
    }
    return weights;
  }

  /// The MLP outputs without what the skips carry: the frozen model's constants.
  std::vector<at::Tensor> constant_outputs() const {
    std::vector<at::Tensor> outputs;
    for (size_t l = 0; l < run_.mlp_out.size(); ++l) {
      outputs.push_back(run_.mlp_out[l].clone());
      if (!skips().empty()) {
        const int64_t others = run_.feature_input[l].size(0) - 1;
        outputs[l]
            .narrow(0, 1, others)
            .sub_(at::matmul(run_.feature_input[l].narrow(0, 1, others), skips()[l].t()));
      }
    }
    return outputs;
  }

  models::Transformer model_ = test::make_tiny_model({.biases = GetParam().biases}, at::kDouble);
  at::Tensor tokens_ = test::random_tokens(9, 61, 8);
  models::FrozenRun run_ = models::record_frozen_run(model_, tokens_, GetParam().input);
  std::unique_ptr<architectures::Transcoder> transcoder_ =
      test::random_transcoder(GetParam().architecture, {3, 24, 20}, 4, at::kDouble);
  LocalModel local_ = make_local_model(model_, *transcoder_, run_);
};

TEST_P(Attribution, RowsSumToTheirPreActivations) {
  const RowEngine engine(local_);
  AttributionRows rows;
  engine.add_feature_rows(all_features(), 8, rows);
  ASSERT_GT(rows.owners.size(), 50U);
  const auto targets = salient_targets(run_.logits, {});
  std::vector<double> measured;
  for (const auto& target : targets) {
    measured.push_back(run_.logits[target.id].item<double>() - run_.logits.mean().item<double>());
  }
  engine.add_target_rows(target_vectors(model_, targets), measured, rows);
  EXPECT_LE(max_residual(rows.rows, rows.facts), kRowResidual);
  // The identity can fail: without its bias a row does not add up.
  auto broken = rows.facts;
  broken[10].bias = 0.0;
  EXPECT_GT(max_residual(rows.rows, broken), 1e-6);
}

TEST_P(Attribution, AdjointEqualsAutograd) {
  const RowEngine engine(local_);
  const auto layout = engine.full_layout(0);
  AttributionRows rows;
  engine.add_feature_rows(all_features(), 64, rows);
  at::Tensor embedding = run_.embedding.clone().set_requires_grad(true);
  std::vector<at::Tensor> outputs;
  for (const auto& o : constant_outputs()) {
    outputs.push_back(o.clone().set_requires_grad(true));
  }
  for (size_t r = 0; r < rows.owners.size(); r += 7) {
    const auto& target = local_.active[static_cast<size_t>(rows.owners[r])];
    for (auto& leaf : outputs) {
      leaf.mutable_grad() = at::zeros_like(leaf);
    }
    embedding.mutable_grad() = at::zeros_like(embedding);
    frozen_pre_activation(target, models::frozen_forward(model_, run_, embedding, outputs, skips()))
        .backward();
    std::vector<double> want(static_cast<size_t>(layout.first_target()), 0.0);
    for (size_t s = 0; s < local_.active.size(); ++s) {
      const auto& source = local_.active[s];
      for (int64_t k = source.layer; k < layout.layers; ++k) {
        const at::Tensor written =
            transcoder_->written_rows(source.layer, k, at::tensor({source.index}, at::kInt),
                                      at::tensor({source.activation}, at::kDouble));
        if (written.defined()) {
          want[s] += source.activation * outputs[static_cast<size_t>(k)]
                                             .grad()[source.position]
                                             .dot(written[0])
                                             .item<double>();
        }
      }
    }
    for (int64_t k = 0; k < layout.layers; ++k) {
      for (int64_t p = 0; p < layout.positions; ++p) {
        const auto l = static_cast<size_t>(k);
        want[static_cast<size_t>(layout.error(k, p))] =
            outputs[l].grad()[p].dot(local_.errors[l][p]).item<double>();
      }
    }
    for (int64_t p = 0; p < layout.positions; ++p) {
      want[static_cast<size_t>(layout.token(p))] =
          embedding.grad()[p].dot(run_.embedding[p]).item<double>();
    }
    std::vector<double> got(want.size(), 0.0);
    const auto columns = rows.rows.columns(static_cast<int64_t>(r));
    for (size_t i = 0; i < columns.size(); ++i) {
      got[static_cast<size_t>(columns[i])] = rows.rows.values(static_cast<int64_t>(r))[i];
    }
    for (size_t i = 0; i < want.size(); ++i) {
      ASSERT_NEAR(got[i], want[i], kOracle) << "row " << r << ", column " << i;
    }
  }
}

TEST_P(Attribution, TenRandomEdgesEqualMeasuredPerturbations) {
  const RowEngine engine(local_);
  AttributionRows rows;
  engine.add_feature_rows(all_features(), 64, rows);
  const Rng rng(3, Purpose::kEdgeChoice);
  for (uint64_t n = 0, tried = 0; n < 10; ++tried) {
    const auto r = static_cast<int64_t>(rng.permute(tried, rows.owners.size()));
    const auto columns = rows.rows.columns(r);
    const auto pick = static_cast<size_t>(rng.with(1).uniform_double(tried) *
                                          static_cast<double>(columns.size()));
    if (columns.empty() || std::cmp_greater_equal(columns[pick], local_.active.size())) {
      continue;  // not a feature
    }
    const auto& source = local_.active[static_cast<size_t>(columns[pick])];
    const auto& target = local_.active[static_cast<size_t>(rows.owners[static_cast<size_t>(r)])];
    auto outputs = constant_outputs();
    for (int64_t k = source.layer; k < 3; ++k) {
      const at::Tensor written =
          transcoder_->written_rows(source.layer, k, at::tensor({source.index}, at::kInt),
                                    at::tensor({source.activation}, at::kDouble));
      if (written.defined()) {
        outputs[static_cast<size_t>(k)] = outputs[static_cast<size_t>(k)].clone();
        outputs[static_cast<size_t>(k)][source.position].add_(written[0], source.activation);
      }
    }
    const auto before =
        models::frozen_forward(model_, run_, run_.embedding, constant_outputs(), skips());
    const auto after = models::frozen_forward(model_, run_, run_.embedding, outputs, skips());
    const double change =
        (frozen_pre_activation(target, after) - frozen_pre_activation(target, before))
            .item<double>();
    EXPECT_NEAR(rows.rows.values(r)[pick], change, kOracle);
    ++n;
  }
}

TEST_P(Attribution, BatchingDoesNotMatter) {
  const RowEngine engine(local_);
  AttributionRows one, many;
  engine.add_feature_rows(all_features(), 1, one);
  engine.add_feature_rows(all_features(), 100, many);
  ASSERT_EQ(one.owners, many.owners);
  for (int64_t r = 0; r < one.rows.row_count(); ++r) {
    std::vector<double> difference(static_cast<size_t>(engine.full_layout(0).first_target()), 0.0);
    const auto add = [&](const AttributionRows& rows, double sign) {
      const auto columns = rows.rows.columns(r);
      for (size_t i = 0; i < columns.size(); ++i) {
        difference[static_cast<size_t>(columns[i])] += sign * rows.rows.values(r)[i];
      }
    };
    add(one, 1.0);
    add(many, -1.0);
    for (const double d : difference) {
      ASSERT_NEAR(d, 0.0, kRowResidual);
    }
  }
}

TEST_P(Attribution, ReconstructionPlusErrorIsTheMlpOutput) {
  for (size_t l = 0; l < 3; ++l) {
    EXPECT_EQ(local_.errors[l][0].abs().max().item<double>(), 0.0);
  }
  for (const auto& feature : local_.active) {
    EXPECT_GT(feature.position, 0);
    EXPECT_GT(feature.activation, 0.0);
  }
  EXPECT_TRUE(std::is_sorted(local_.active.begin(), local_.active.end(),
                             [](const auto& a, const auto& b) { return a.place(b) < 0; }));
}

INSTANTIATE_TEST_SUITE_P(
    Cases, Attribution,
    ::testing::Values(Case{HookPoint::kMlpIn, "clt-topk", false},
                      Case{HookPoint::kMlpIn, "plt-topk", true},
                      Case{HookPoint::kResidMid, "clt-topk", true},
                      Case{HookPoint::kMlpNormalized, "clt-topk", true},
                      Case{HookPoint::kResidMid, "plt-topk", false},
                      Case{HookPoint::kMlpIn, "plt-topk-skip", false},
                      Case{HookPoint::kResidMid, "clt-jumprelu-skip", true},
                      Case{HookPoint::kMlpNormalized, "clt-incremental-topk-skip", true},
                      Case{HookPoint::kMlpIn, "clt-source-tied", true},
                      Case{HookPoint::kMlpIn, "clt-source-tied-affine", true},
                      Case{HookPoint::kResidMid, "clt-incremental-topk-affine", false},
                      Case{HookPoint::kMlpIn, "plt-batchtopk", false}),
    [](const auto& row) { return fmt::format("case{}", row.index); });

TEST(SalientTargets, StopAtTheProbabilityAndBreakTiesByLowerId) {
  const at::Tensor logits = at::log(at::tensor({0.1, 0.3, 0.3, 0.2, 0.1}, at::kDouble));
  AttributionOptions options;
  options.desired_logit_prob = 0.59;
  auto targets = salient_targets(logits, options);
  ASSERT_EQ(targets.size(), 2U);
  EXPECT_EQ(targets[0].id, 1);
  EXPECT_EQ(targets[1].id, 2);
  options.desired_logit_prob = 0.61;
  EXPECT_EQ(salient_targets(logits, options).size(), 3U);
  options.max_n_logits = 1;
  EXPECT_EQ(salient_targets(logits, options).size(), 1U);
}

TEST(LocalModel, OtherShapesAreRefused) {
  const auto model = test::make_tiny_model({}, at::kDouble);
  const auto run =
      models::record_frozen_run(model, test::random_tokens(3, 61, 1), HookPoint::kMlpIn);
  const auto transcoder = test::random_transcoder("clt-topk", {4, 24, 20}, 4, at::kDouble);
  test::expect_error<DataError>([&] { make_local_model(model, *transcoder, run); },
                                {"does not fit", "3 layers", "4 layers"});
}

}  // namespace
}  // namespace crossloom::eval
