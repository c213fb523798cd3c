// The plot: well-formed, complete, escaped; axes with round numbers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "launch/pareto_plot.h"
#include "launch/plot_axis.h"
#include "tests/support/xml_check.h"

namespace crossloom::launch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t i = text.find(part); i != std::string::npos; i = text.find(part, i + 1)) {
    ++count;
  }
  return count;
}

TEST(XmlCheck, CanFail) {
  EXPECT_EQ(test::xml_problem("<?xml version=\"1.0\"?>\n<a b=\"1\"><c/>x &amp; y</a>\n"), "");
  for (const char* bad : {"<a>", "<a></b>", "<a/><b/>", "<a b=1/>", "<a>&</a>", "<a b=\"&\"/>",
                          "<a b=\"<\"/>", "<a b=\"1\" b=\"2\"/>", "x<a/>", "<a><</a>", "", "<a"}) {
    EXPECT_NE(test::xml_problem(bad), "") << bad;
  }
}

TEST(ParetoPlot, EveryPointIsThereOnce) {
  ParetoPlot plot{"title", "x", "y", {}};
  for (int s = 0; s < 60; ++s) {
    PlotSeries series{"series " + std::to_string(s), {}};
    for (int i = 1; i <= 3; ++i) {
      series.points.push_back({"p", double(4 - i) * (s + 1), 1.0 / i, 0.1, s % 2 * 0.01, 2});
    }
    plot.series.push_back(std::move(series));
  }
  const auto svg = pareto_svg(plot);
  EXPECT_EQ(test::xml_problem(svg), "");
  EXPECT_EQ(count_of(svg, "class=\"point\""), 180U);
  EXPECT_EQ(count_of(svg, "<polyline"), 60U);
  EXPECT_EQ(count_of(svg, "<title>"), 181U);
  EXPECT_EQ(count_of(svg, ">series 59</text>"), 1U);
  EXPECT_THAT(svg, HasSubstr("p (series 0)\nL0 1 ± 0.1\nNMSE 0.33333\nmean over 2 seeds"));
}

TEST(ParetoPlot, TextIsEscaped) {
  const std::string nasty = "<b> & \"q\" \x01\xff é";
  EXPECT_EQ(xml_text(nasty), "&lt;b&gt; &amp; &quot;q&quot; \xEF\xBF\xBD\xEF\xBF\xBD é");
  const auto svg = pareto_svg({nasty, nasty, nasty, {{nasty, {{nasty, 1.0, 0.5}}}}});
  EXPECT_EQ(test::xml_problem(svg), "");
  EXPECT_THAT(svg, Not(HasSubstr("<b>")));
}

TEST(ParetoPlot, PointsWithoutAPlaceAreNamed) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto svg = pareto_svg(
      {"t", "x", "y", {{"s", {{"all dead", 0.0, 1.0}, {"lost", 2.0, nan}, {"good", 2.0, 0.5}}}}});
  EXPECT_EQ(test::xml_problem(svg), "");
  EXPECT_EQ(count_of(svg, "class=\"point\""), 1U);
  EXPECT_THAT(svg, HasSubstr("not finite: all dead, lost"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_EQ(test::xml_problem(pareto_svg({"empty", "x", "y", {}})), "");
}

TEST(PlotAxis, LogTicksAreRoundAndInside) {
  using Scale = PlotAxis::Scale;
  EXPECT_THAT(PlotAxis(Scale::kLog, {1.0, 1000.0}, 0, 1).ticks(), ElementsAre(1, 10, 100, 1000));
  EXPECT_THAT(PlotAxis(Scale::kLog, {8.0, 64.0}, 0, 1).ticks(),
              ElementsAre(8, 10, 15, 20, 30, 40, 60));
  EXPECT_THAT(PlotAxis(Scale::kLog, {16.0, 17.0}, 0, 1).ticks().size(), ::testing::Ge(2U));
  for (const double low : {1e-3, 0.7, 3.0, 16.0, 900.0}) {
    for (const double ratio : {1.0, 1.01, 1.5, 4.0, 30.0, 1e3, 1e7}) {
      for (const auto scale : {Scale::kLog, Scale::kLinear}) {
        const PlotAxis axis(scale, {low, low * ratio}, 0, 1);
        EXPECT_GE(axis.ticks().size(), 2U) << low << " " << ratio;
        EXPECT_LE(axis.ticks().size(), 12U) << low << " " << ratio;
        EXPECT_GE(axis.pixel(low), 0.01);
        EXPECT_LE(axis.pixel(low * ratio), 0.99);
      }
    }
  }
}

TEST(PlotAxis, PixelsStayInside) {
  const PlotAxis axis(PlotAxis::Scale::kLog, {1.0, 100.0}, 100, 200);
  EXPECT_NEAR(axis.pixel(10.0), 150.0, 1e-9);
  EXPECT_EQ(axis.pixel(-1.0), 100.0);
  EXPECT_EQ(axis.pixel(1e9), 200.0);
  EXPECT_THAT(PlotAxis(PlotAxis::Scale::kLinear, {-1.0, 1.0}, 0, 1).ticks(),
              ElementsAre(-1, -0.5, 0, 0.5, 1));
}

}  // namespace
}  // namespace crossloom::launch
