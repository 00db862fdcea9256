// SPDX-License-Identifier: BSL-1.0
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/kit/render.hpp>
#include <mirakuru/net/address.hpp>

#include "errors.hpp"

namespace mk = mirakuru;
using test::refusal;

TEST_CASE("render: each name is replaced by its value") {
  CHECK(mk::render("", {}) == "");
  CHECK(mk::render("plain $uri $ {x} }", {}) == "plain $uri $ {x} }");
  CHECK(mk::render("${a}${b} ${a}", {{"a", "1"}, {"b", "${a}"}}) == "1${a} 1");
  CHECK(mk::render("listen ${port}; root ${root};",
                   {{"port", mk::Port{80}}, {"root", std::filesystem::path{"/srv"}}}) ==
        "listen 80; root /srv;");
  CHECK(mk::render("${n} ${m}", {{"n", -5}, {"m", UINT64_MAX}}) == "-5 18446744073709551615");
}

TEST_CASE("render: a doubled dollar stands for itself before a brace") {
  CHECK(mk::render("$${a} $$ $${", {}) == "${a} $$ ${");
  CHECK(mk::render("$${a}${a}", {{"a", 1}}) == "${a}1");
  CHECK(mk::render("${a}${b}$", {{"a", "US$"}, {"b", "x"}}) == "US$x$");
}

TEST_CASE("render: an unknown and an unused name are refused") {
  CHECK(refusal([] { (void)mk::render("${a}", {{"b", 1}}); }) == "render: no value for ${a}");
  CHECK(refusal([] { (void)mk::render("x", {{"b", 1}}); }) == "render: the text does not use ${b}");
  CHECK(refusal([] { (void)mk::render("a ${b\nc", {}); }) ==
        "render: not a name: '${b'; a plain ${ is written $${");
  CHECK(refusal([] { (void)mk::render("${}", {}); }).starts_with("render: not a name: '${'"));
  CHECK(refusal([] { (void)mk::render("${a b}", {}); }).starts_with("render: not a name: '${a b'"));
}
