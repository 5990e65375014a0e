#include "findings.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace gpu {

uint64_t setting(const char* name, uint64_t otherwise) {
  const char* value = getenv(name);
  return value && *value ? strtoull(value, nullptr, 0) : otherwise;
}

uint32_t seed() {
  static const uint32_t value = setting("SOFTWARE_GPU_SEED", 0);
  return value;
}

static std::string formatted(const char* format, va_list values) {
  char text[2048];
  vsnprintf(text, sizeof text, format, values);
  return text;
}

void append(const char* file, const char* text) {
  const char* folder = getenv("SOFTWARE_GPU_REPORT");
  if (!folder) return;
  if (FILE* stream = fopen((std::string(folder) + "/" + file).c_str(), "a")) {
    fputs(text, stream);
    fclose(stream);
  }
}

void explain(const char* format, ...) {
  va_list values;
  va_start(values, format);
  fprintf(stderr, "software GPU: refused: %s\n", formatted(format, values).c_str());
  va_end(values);
}

void report(const char* format, ...) {
  va_list values;
  va_start(values, format);
  std::string line = formatted(format, values) + "\n";
  va_end(values);
  fprintf(stderr, "software GPU: %s", line.c_str());
  append("findings", line.c_str());
}

}  // namespace gpu
