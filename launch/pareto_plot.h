// Quality against sparsity as one standalone SVG: x on a log scale, y linear, one colour and marker
// per series from a palette that colour-blind readers can tell apart, points joined in x order,
// error bars, a legend, a tooltip on every point. Any text is escaped.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace crossloom::launch {

struct PlotPoint {
  std::string label;  // first line of the tooltip
  double x = 0.0;
  double y = 0.0;
  double x_sd = 0.0;  // 0: no error bar
  double y_sd = 0.0;
  int64_t runs = 1;  // how many were averaged
};

struct PlotSeries {
  std::string name;
  std::vector<PlotPoint> points;  // in any order
};

struct ParetoPlot {
  std::string title;
  std::string x_label;
  std::string y_label;
  std::vector<PlotSeries> series;
};

/// Points that have no place on the axes (x ≤ 0, not finite) are named in a note below the plot.
std::string pareto_svg(const ParetoPlot& plot);

/// Text as XML character data or attribute value; what XML 1.0 cannot hold becomes U+FFFD.
std::string xml_text(const std::string& text);

}  // namespace crossloom::launch
