// Real ranks, real files: each rank writes its shards of one cache, and every rank count gives the
// same rows, the same batches and the same held-out documents.
#include <gtest/gtest.h>
#include <mpi.h>

#include <array>
#include <cstring>
#include <fstream>

#include "common/communicator.h"
#include "common/mpi_environment.h"
#include "data/harvest_shards.h"
#include "data/loader.h"
#include "data/window_buffer.h"
#include "tests/support/byte_model.h"
#include "tests/support/expect_error.h"
#include "tests/support/ranks.h"
#include "tests/support/temp_folder.h"

namespace crossloom::data {
namespace {

void write_texts(const std::string& folder) {
  for (int i = 0; i < 40; ++i) {
    std::string text;
    for (int j = 0; j < 20 + 41 * i % 200; ++j) {
      text += char('a' + (i * 7 + j * j) % 26);
    }
    std::ofstream(folder + "/" + std::to_string(i) + ".txt") << text;
  }
}

class DataMpi : public ::testing::Test {
 protected:
  DataMpi() {
    if (comm_->rank() == 0) {
      write_texts(texts_.path());
    }
    comm_->barrier();
    text_ = std::make_unique<TextSource>(std::vector<std::string>{texts_.path()}, 0, 1);
  }
  Manifest harvest_into(const std::string& folder, Communicator& comm) {
    HarvestJob job = test::byte_job(folder);
    job.max_tokens = 2000;
    return harvest_shards(job, *text_, test::byte_encoder(), test::byte_forward(2), comm);
  }

  std::unique_ptr<Communicator> comm_ = test::world();
  test::SharedFolder texts_{*comm_};
  test::SharedFolder out_{*comm_};
  std::unique_ptr<TextSource> text_;
};

TEST_F(DataMpi, HarvestEqualsOneRanks) {
  const auto manifest = harvest_into(out_.path() + "/all", *comm_);
  EXPECT_EQ(manifest.rows, 2000);
  const auto alone = make_single_communicator();
  const std::string own = out_.path() + "/alone" + std::to_string(comm_->rank());
  harvest_into(own, *alone);
  comm_->barrier();
  const ShardSet together(out_.path() + "/all");
  const ShardSet reference(own);
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < 2000; ++row) {
    rows.push_back(row);
  }
  const Batch a = read_rows(together, rows);
  const Batch b = read_rows(reference, rows);
  for (size_t layer = 0; layer < 2; ++layer) {
    EXPECT_TRUE(at::equal(a.x[layer], b.x[layer]));
    EXPECT_TRUE(at::equal(a.y[layer], b.y[layer]));
  }
  EXPECT_TRUE(at::equal(a.tokens, b.tokens));
  EXPECT_TRUE(at::equal(a.documents, b.documents));
  EXPECT_TRUE(at::equal(a.positions, b.positions));
  if (comm_->size() > 1) {
    EXPECT_GT(together.manifest().shards.back().producer_rank, 0) << "the work was shared";
  }
}

TEST_F(DataMpi, BatchesJoinToOneRanks) {
  harvest_into(out_.path(), *comm_);
  const ShardSet set(out_.path());
  LoaderOptions options;
  options.batch_tokens = 64;
  options.window_blocks = 4;
  options.seed = 5;
  const RowSplit split = split_rows(set, 0.1, 5);
  Loader mine(set, split.training, options, comm_->rank(), comm_->size());
  Loader whole(set, split.training, options, 0, 1);
  Sampler sampler(set.blocks(), split.training, {.seed = 5, .batch_rows = 64, .window_blocks = 4});
  for (int64_t step = 0; step < 60; ++step) {
    const Batch part = mine.next();
    const Batch all = whole.next();
    std::vector<int64_t> sizes_bytes;
    for (int64_t rank = 0; rank < comm_->size(); ++rank) {
      const auto slice = batch_slice(64, rank, comm_->size());
      sizes_bytes.push_back((slice.end - slice.begin) * 16);
    }
    at::Tensor joined = at::empty({64, 8}, at::kBFloat16);
    comm_->all_gather_v(part.x[1].const_data_ptr(), joined.mutable_data_ptr(), sizes_bytes);
    EXPECT_TRUE(at::equal(joined, all.x[1])) << "step " << step;
    const auto hash = int64_t(sampler.batch_hash(step) >> 1);
    EXPECT_EQ(comm_->max(hash), comm_->min(hash));
  }
}

/// What fails on one rank is told to all, before anything collective: none waits for ever.
TEST_F(DataMpi, AnotherRequestFailsOnAllRanks) {
  harvest_into(out_.path(), *comm_);
  HarvestJob job = test::byte_job(out_.path());
  job.max_tokens = 2000;
  job.request["hook_in"] = "other";
  EXPECT_THROW(harvest_shards(job, *text_, test::byte_encoder(), test::byte_forward(2), *comm_),
               Error);
}

}  // namespace
}  // namespace crossloom::data
