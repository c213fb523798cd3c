#include "launch/pareto_plot.h"

#include <algorithm>
#include <cmath>

#include "common/format.h"
#include "common/utf8.h"
#include "launch/plot_axis.h"

namespace crossloom::launch {
namespace {

// Pixels.
constexpr double kLeft = 84, kRight = 644, kTop = 56, kBottom = 440, kLeastHeight = 516;
constexpr double kLegend = kRight + 24, kLegendLine = 22;
constexpr double kLetter = 7.2;      // about a letter's width at 13 px
constexpr double kTitleWidth = 1.4;  // of the title's letters, which are larger and bold
constexpr double kErrorCap = 4;

/// Okabe and Ito's palette without yellow, which is too light for lines on white.
constexpr const char* kColours[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                    "#E69F00", "#56B4E9", "#000000"};
/// Marker shapes around (0, 0). Seven colours and eight shapes: 56 series before a pair returns.
constexpr const char* kMarkers[] = {"M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0Z",
                                    "M-4.5,-4.5H4.5V4.5H-4.5Z",
                                    "M0,-6L5.5,4H-5.5Z",
                                    "M0,-6.2L6.2,0L0,6.2L-6.2,0Z",
                                    "M0,6L5.5,-4H-5.5Z",
                                    "M-2,-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z",
                                    "M0,-6L5.7,-1.9L3.5,4.9H-3.5L-5.7,-1.9Z",
                                    "M-6,-3L-3,-6L0,-3L3,-6L6,-3L3,0L6,3L3,6L0,3L-3,6L-6,3L-3,0Z"};

struct Style {
  const char* colour;
  const char* marker;
};
Style style_of(size_t series) {
  return {kColours[series % std::size(kColours)], kMarkers[series % std::size(kMarkers)]};
}

bool has_place(const PlotPoint& point) {
  return std::isfinite(point.x) && point.x > 0.0 && std::isfinite(point.y);
}

/// Points of a series that can be shown, in x order.
std::vector<PlotPoint> shown(const PlotSeries& series) {
  std::vector<PlotPoint> points;
  std::copy_if(series.points.begin(), series.points.end(), std::back_inserter(points), has_place);
  std::stable_sort(points.begin(), points.end(),
                   [](const PlotPoint& a, const PlotPoint& b) { return a.x < b.x; });
  return points;
}

std::vector<double> ends(const ParetoPlot& plot, double PlotPoint::*value, double PlotPoint::*sd) {
  std::vector<double> all;
  for (const auto& series : plot.series) {
    for (const auto& point : shown(series)) {
      all.push_back(point.*value - point.*sd);
      all.push_back(point.*value);
      all.push_back(point.*value + point.*sd);
    }
  }
  return all;
}

double width_of(const std::string& text) {
  const auto letters = std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;  // not a UTF-8 continuation
  });
  return kLetter * static_cast<double>(letters);
}

class Drawing {
 public:
  explicit Drawing(const ParetoPlot& plot)
      : plot_(plot),
        x_(PlotAxis::Scale::kLog, ends(plot, &PlotPoint::x, &PlotPoint::x_sd), kLeft, kRight),
        y_(PlotAxis::Scale::kLinear, ends(plot, &PlotPoint::y, &PlotPoint::y_sd), kBottom, kTop) {}

  std::string draw() {
    open();
    axes();
    for (size_t i = 0; i < plot_.series.size(); ++i) {
      series(shown(plot_.series[i]), plot_.series[i].name, style_of(i));
    }
    legend();
    note();
    return svg_ + "</svg>\n";
  }

 private:
  template <typename... Args>
  void put(::fmt::format_string<Args...> pattern, Args&&... args) {
    svg_ += fmt::format(pattern, std::forward<Args>(args)...) + "\n";
  }

  void text(double x, double y, const char* more, const std::string& content) {
    put(R"(<text x="{:.1f}" y="{:.1f}" {}>{}</text>)", x, y, more, xml_text(content));
  }

  void line(double x1, double y1, double x2, double y2, const char* colour) {
    put(R"(<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="{}"/>)", x1, y1, x2, y2,
        colour);
  }

  void open() {
    double widest = kTitleWidth * width_of(plot_.title) + kLeft - kLegend;
    for (const auto& series : plot_.series) {
      widest = std::max(widest, width_of(series.name) + 28);
    }
    const double width = kLegend + widest + 24;
    height_ = std::max(kLeastHeight, kTop + 2 * kLegendLine +
                                         kLegendLine * static_cast<double>(plot_.series.size()));
    put(R"(<?xml version="1.0" encoding="UTF-8"?>)");
    put(R"(<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{0:.0f}" height="{1:.0f}" )"
        R"(viewBox="0 0 {0:.0f} {1:.0f}" font-family="Helvetica, Arial, sans-serif" )"
        R"(font-size="13" fill="#222222">)",
        width, height_);
    put("<title>{}</title>", xml_text(plot_.title));
    put(R"(<rect width="100%" height="100%" fill="#FFFFFF"/>)");
    text(kLeft, 30, R"(font-size="15" font-weight="bold")", plot_.title);
  }

  void axes() {
    for (const double tick : x_.ticks()) {
      line(x_.pixel(tick), kTop, x_.pixel(tick), kBottom, "#E4E4E4");
      line(x_.pixel(tick), kBottom, x_.pixel(tick), kBottom + 5, "#222222");
      text(x_.pixel(tick), kBottom + 20, R"(text-anchor="middle")", fmt::format("{:.6g}", tick));
    }
    for (const double tick : y_.ticks()) {
      line(kLeft, y_.pixel(tick), kRight, y_.pixel(tick), "#E4E4E4");
      line(kLeft - 5, y_.pixel(tick), kLeft, y_.pixel(tick), "#222222");
      text(kLeft - 9, y_.pixel(tick) + 4.5, R"(text-anchor="end")", fmt::format("{:.6g}", tick));
    }
    line(kLeft, kBottom, kRight, kBottom, "#222222");
    line(kLeft, kTop, kLeft, kBottom, "#222222");
    text((kLeft + kRight) / 2, kBottom + 44, R"(text-anchor="middle")", plot_.x_label);
    const std::string turned = fmt::format(
        R"~(text-anchor="middle" transform="rotate(-90 22 {:.1f})")~", (kTop + kBottom) / 2);
    text(22, (kTop + kBottom) / 2, turned.c_str(), plot_.y_label);
  }

  void series(const std::vector<PlotPoint>& points, const std::string& name, const Style& style) {
    if (points.size() > 1) {
      std::string path;
      for (const auto& point : points) {
        path += fmt::format("{}{:.1f},{:.1f}", path.empty() ? "" : " ", x_.pixel(point.x),
                            y_.pixel(point.y));
      }
      put(R"(<polyline points="{}" fill="none" stroke="{}" stroke-width="1.5"/>)", path,
          style.colour);
    }
    for (const auto& point : points) {
      error_bars(point, style.colour);
      put(R"(<g class="point"><title>{}</title>)", xml_text(tooltip(point, name)));
      marker(x_.pixel(point.x), y_.pixel(point.y), style);
      put("</g>");
    }
  }

  void error_bars(const PlotPoint& point, const char* colour) {
    const double x = x_.pixel(point.x);
    const double y = y_.pixel(point.y);
    put(R"(<g opacity="0.6">)");  // lines and markers stay in front
    if (point.y_sd > 0.0) {
      const double low = y_.pixel(point.y - point.y_sd), high = y_.pixel(point.y + point.y_sd);
      line(x, low, x, high, colour);
      line(x - kErrorCap, low, x + kErrorCap, low, colour);
      line(x - kErrorCap, high, x + kErrorCap, high, colour);
    }
    if (point.x_sd > 0.0) {
      const double low = x_.pixel(point.x - point.x_sd), high = x_.pixel(point.x + point.x_sd);
      line(low, y, high, y, colour);
      line(low, y - kErrorCap, low, y + kErrorCap, colour);
      line(high, y - kErrorCap, high, y + kErrorCap, colour);
    }
    put("</g>");
  }

  void marker(double x, double y, const Style& style) {
    put(R"~(<path transform="translate({:.1f} {:.1f})" d="{}" fill="{}" stroke="#FFFFFF"/>)~", x, y,
        style.marker, style.colour);
  }

  static std::string tooltip(const PlotPoint& point, const std::string& name) {
    const auto number = [](double value, double sd) {
      return sd > 0.0 ? fmt::format("{:.5g} ± {:.2g}", value, sd) : fmt::format("{:.5g}", value);
    };
    std::string text = fmt::format("{} ({})\nL0 {}\nNMSE {}", point.label, name,
                                   number(point.x, point.x_sd), number(point.y, point.y_sd));
    return point.runs > 1 ? fmt::format("{}\nmean over {} seeds", text, point.runs) : text;
  }

  void legend() {
    double y = kTop + 8;
    for (size_t i = 0; i < plot_.series.size(); ++i) {
      line(kLegend, y, kLegend + 20, y, style_of(i).colour);
      marker(kLegend + 10, y, style_of(i));
      text(kLegend + 28, y + 4.5, "", plot_.series[i].name);
      y += kLegendLine;
    }
  }

  void note() {
    std::vector<std::string> absent;
    bool has_bars = false;
    for (const auto& series : plot_.series) {
      for (const auto& point : series.points) {
        if (!has_place(point)) {
          absent.push_back(point.label);
        }
        has_bars = has_bars || point.x_sd > 0.0 || point.y_sd > 0.0;
      }
    }
    std::string words = has_bars ? "Bars: one standard deviation over seeds. " : "";
    if (!absent.empty()) {
      words += fmt::format("Not shown, nothing active or not finite: {}.", fmt::join(absent, ", "));
    }
    if (!words.empty()) {
      text(kLeft, kBottom + 66, R"(font-size="11")", words);
    }
  }

  const ParetoPlot& plot_;
  PlotAxis x_, y_;
  double height_ = kLeastHeight;
  std::string svg_;
};

}  // namespace

std::string xml_text(const std::string& text) {
  std::string escaped;
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = utf8_step(text, i);
    i += step.size_bytes;
    const bool control =
        step.code_point < 0x20 && step.code_point != '\n' && step.code_point != '\t';
    const bool forbidden = control || step.code_point == 0xFFFE || step.code_point == 0xFFFF;
    switch (step.code_point) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        append_utf8(escaped, forbidden ? kReplacement : step.code_point);
    }
  }
  return escaped;
}

std::string pareto_svg(const ParetoPlot& plot) {
  return Drawing(plot).draw();
}

}  // namespace crossloom::launch
