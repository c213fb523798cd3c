// The validator accepts the minimal example and names what is wrong with every broken one.
#include "eval/graph_json_check.h"

#include <gtest/gtest.h>

#include "tests/eval/graph_fixtures.h"

namespace crossloom::eval {
namespace {

TEST(GraphJsonCheck, AcceptsTheMinimalExample) {
  const Json graph = testing::golden_file("minimal_graph.json");
  EXPECT_EQ(validate_graph_json(graph), std::vector<std::string>{});
  EXPECT_EQ(validate_graph_json(graph, {.for_upload = true, .file_bytes = 4096}),
            std::vector<std::string>{});
}

TEST(GraphJsonCheck, NamesWhatIsWrong) {
  const Json good = testing::golden_file("minimal_graph.json");
  const Json cases = testing::golden_file("bad_graphs.json")["cases"];
  ASSERT_GE(cases.size(), 40U);
  for (const Json& item : cases) {
    const Json bad = good.patch(item["patch"]);
    const auto problems =
        validate_graph_json(bad, {.for_upload = item.value("upload", false), .file_bytes = -1});
    const auto says = item["says"].get<std::string>();
    const bool found = std::any_of(problems.begin(), problems.end(), [&](const auto& problem) {
      return problem.find(says) != std::string::npos;
    });
    EXPECT_TRUE(found) << item["name"] << ": expected \"" << says << "\", got "
                       << Json(problems).dump();
  }
}

TEST(GraphJsonCheck, AcceptsOldErrorIdsAndUnknownFields) {
  Json graph = testing::golden_file("minimal_graph.json");
  graph["nodes"][3]["node_id"] = "0_0_1";
  graph["links"][1]["source"] = "0_0_1";
  graph["nodes"][3]["new_field"] = true;
  graph["later"] = 1;
  EXPECT_EQ(validate_graph_json(graph), std::vector<std::string>{});
}

TEST(GraphJsonCheck, UploadSizes) {
  const Json graph = testing::golden_file("minimal_graph.json");
  EXPECT_EQ(validate_graph_json(graph, {.for_upload = true, .file_bytes = 1023}).size(), 1U);
  EXPECT_EQ(validate_graph_json(graph, {.for_upload = true, .file_bytes = 200 << 20}).size(), 1U);
}

TEST(GraphJsonCheck, NeverThrowsAndStopsCounting) {
  for (const char* text : {"null", "[]", "3", "{}", R"({"metadata":[],"qParams":1,"nodes":3})",
                           R"({"metadata":{},"qParams":{},"nodes":[1,null],"links":[[],{}]})"}) {
    EXPECT_FALSE(validate_graph_json(Json::parse(text)).empty()) << text;
  }
  Json graph = testing::golden_file("minimal_graph.json");
  for (int i = 0; i < 200; ++i) {
    graph["links"].push_back(3);
  }
  EXPECT_EQ(validate_graph_json(graph).size(), kMostProblems);
}

}  // namespace
}  // namespace crossloom::eval
