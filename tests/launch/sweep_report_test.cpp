// Results → table and plot, without training anything.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "launch/equal_l0.h"
#include "launch/sweep_report.h"
#include "launch/sweep_table.h"
#include "tests/support/files.h"
#include "tests/support/temp_folder.h"
#include "tests/support/xml_check.h"

namespace crossloom::launch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Json result(const std::string& entry, Json varied, int seed, double l0, double nmse) {
  return {{"id", entry + ".seed-" + std::to_string(seed)},
          {"entry", entry},
          {"architecture", "clt-topk"},
          {"varied", std::move(varied)},
          {"seed", seed},
          {"parameters", 1200},
          {"reconstruction", {{"l0", l0}, {"l0_sum", 3 * l0}, {"nmse", nmse}, {"dead", 0.25}}},
          {"seconds", {{"train", 60.0}, {"evaluate", 2.0}, {"total", 62.0}}}};
}

TEST(SweepTable, HasTheColumnsThatWereMeasured) {
  Json with_graphs = result("b", {{"steps", 7}}, 1, 8.0, 0.5);
  with_graphs["replacement"] = {{"replaced", {{"kl", 2.5}, {"top1_agreement", 0.125}}},
                                {"mean_ablated", {{"kl", 9.0}}}};
  with_graphs["graphs"] = {{"replacement_score", 0.5}, {"completeness", 0.75}};
  const auto without = make_table({result("a", {{"transcoder.k", 4}}, 1, 4.0, 0.625)});
  EXPECT_THAT(without.columns,
              ElementsAre("id", "entry", "architecture", "transcoder.k", "seed", "parameters", "l0",
                          "l0_sum", "nmse", "dead", "seconds"));
  const auto table = make_table({result("a", {{"transcoder.k", 4}}, 1, 4.0, 0.625), with_graphs});
  EXPECT_EQ(table_csv(table),
            "id,entry,architecture,transcoder.k,steps,seed,parameters,l0,l0_sum,nmse,dead,kl,top1,"
            "kl_mean_ablated,replacement_score,completeness,seconds\n"
            "a.seed-1,a,clt-topk,4,,1,1200,4.0,12.0,0.625,0.25,,,,,,62.0\n"
            "b.seed-1,b,clt-topk,,7,1,1200,8.0,24.0,0.5,0.25,2.5,0.125,9.0,0.5,0.75,62.0\n");
  const Json json = table_json(table);
  EXPECT_EQ(json["columns"].size(), table.columns.size());
  EXPECT_EQ(json["rows"][1]["kl"], 2.5);
  EXPECT_TRUE(json["rows"][0]["kl"].is_null());
  const auto text = table_text(table);
  EXPECT_THAT(text, HasSubstr("point     parameters   L0    NMSE  dead %"));
  EXPECT_THAT(text, HasSubstr("b.seed-1        1200  8.0  0.5000    25.0  2.500     12.5"));
  EXPECT_THAT(text, HasSubstr("1 min 02 s\n"));
}

TEST(SweepTable, CsvQuotesWhatNeedsIt) {
  EXPECT_THAT(table_csv({{"a", "b,c"}, {{"x\"y", Json()}, {"two\nlines", 0.1}}}),
              "a,\"b,c\"\n\"x\"\"y\",\n\"two\nlines\",0.1\n");
}

TEST(SweepPlot, SeedsOfOnePointAreAveraged) {
  const auto plot = plot_of(
      {result("a", {{"transcoder.k", 4}}, 1, 4.0, 0.5),
       result("a", {{"transcoder.k", 4}}, 2, 4.0, 0.7),
       result("a", {{"transcoder.k", 8}}, 1, 8.0, 0.25), result("b", Json::object(), 1, 2.0, 0.75)},
      "title");
  ASSERT_EQ(plot.series.size(), 2U);
  ASSERT_EQ(plot.series[0].points.size(), 2U);
  const auto& point = plot.series[0].points[0];
  EXPECT_EQ(point.label, "transcoder.k 4");
  EXPECT_EQ(point.runs, 2);
  EXPECT_DOUBLE_EQ(point.y, 0.6);
  EXPECT_NEAR(point.y_sd, 0.1 * std::sqrt(2.0), 1e-12);
  EXPECT_EQ(point.x_sd, 0.0);
  EXPECT_EQ(plot.series[0].points[1].y_sd, 0.0);
  EXPECT_EQ(plot.series[1].points[0].label, "b.seed-1");
}

/// NMSE falls by 0.1 per doubling of L0: linear in log L0, so what is read off is known.
TEST(EqualL0, ReadsOffBetweenNeighboursAndNeverBeyond) {
  const auto rows = compare_at_equal_l0(
      {result("a", {{"transcoder.k", 8}}, 1, 8.0, 0.6),
       result("a", {{"transcoder.k", 32}}, 1, 32.0, 0.4),
       result("a", {{"transcoder.k", 8}}, 2, 8.0, 0.7),
       result("a", {{"transcoder.k", 32}}, 2, 32.0, 0.5),
       result("a", {{"transcoder.k", 8}}, 3, 8.0, 0.6),  // its other point is missing
       result("b", {{"transcoder.k", 16}}, 1, 16.0, 0.25)},
      {16.0, 40.0});
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_EQ(rows[0].entry, "a");
  ASSERT_EQ(rows[0].nmse.size(), 2U);
  EXPECT_NEAR(rows[0].nmse[0], 0.5, 1e-12);
  EXPECT_NEAR(rows[0].nmse[1], 0.6, 1e-12);
  EXPECT_EQ(rows[0].seeds, 3);
  EXPECT_THAT(rows[1].nmse, ElementsAre(0.25));  // exactly there
  EXPECT_TRUE(rows[2].nmse.empty());
  const auto json = comparison_json(rows);
  EXPECT_NEAR(json[0]["nmse_mean"].get<double>(), 0.55, 1e-12);
  EXPECT_NEAR(json[0]["nmse_sd"].get<double>(), 0.1 / std::sqrt(2.0), 1e-12);
  EXPECT_TRUE(json[1]["nmse_sd"].is_null());
  EXPECT_TRUE(json[2]["nmse_mean"].is_null());
  const auto text = comparison_text(rows);
  EXPECT_THAT(text, HasSubstr("NMSE at L0 16\n  b                            0.2500\n  a      "
                              "                      0.5500 ± 0.0707 (2 seeds)\n"));
  EXPECT_THAT(text, HasSubstr("NMSE at L0 40\n  a                            not between"));
}

TEST(SweepReport, WritesAllFiles) {
  const test::TempFolder folder;
  write_report(folder.path(), {result("a", {{"transcoder.k", 4}}, 1, 4.0, 0.5)}, "t", {4.0});
  EXPECT_EQ(read_json_file(folder.file("table.json"), 1 << 20)["equal_l0"][0]["nmse_mean"], 0.5);
  EXPECT_THAT(test::bytes_of_file(folder.file("table.csv")), HasSubstr("a.seed-1"));
  const auto markdown = test::bytes_of_file(folder.file("table.md"));
  EXPECT_THAT(
      markdown,
      HasSubstr("| point | parameters | L0 | NMSE | dead % | time |\n|---|---|---|---|---|---|\n"));
  EXPECT_THAT(markdown, HasSubstr("| entry | L0 | NMSE |"));
  EXPECT_THAT(markdown, HasSubstr("| a.seed-1 | 1200 | 4.0 | 0.5000 |"));
  EXPECT_EQ(read_json_file(folder.file("table.json"), 1 << 20)["rows"].size(), 1U);
  EXPECT_EQ(test::xml_problem(test::bytes_of_file(folder.file("pareto.svg"))), "");
}

}  // namespace
}  // namespace crossloom::launch
