// What the stretches of a program are, as far as compression is concerned.
#pragma once

#include <vector>

#include "support.h"

namespace trees::delta {

enum class Content : uint8_t {
  Other,
  X86Code,
  OtherCode,
  Relocations, // Elf64_Rela, 24 bytes each
  Symbols,
  Strings,
  Constants,
  Unwinding,
  Pointers,
  Data,
  GoCounters,  // Go's tables of program counters: bytes of variable-length numbers
  GoFunctions, // pairs of 32-bit offsets, ascending
  GoDetails,   // records of 32-bit numbers
};
constexpr size_t CONTENT_KINDS = 13;

struct ContentPiece {
  Content kind;
  uint64_t offset;
  uint64_t size;
};

// Whether it is a program or library, of any machine.
bool is_program(View file);

// The sections of a program; they cover it from start to end. What has no (sound) section headers is one
// piece. Formats: System V ABI, chapter 4; for Go's tables its runtime/symtab.go.
std::vector<ContentPiece> content_pieces(View program);

} // namespace trees::delta
