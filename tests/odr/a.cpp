#include <mirakuru.hpp>
#include <mirakuru/async.hpp>

int b();

int main() { return b(); }
