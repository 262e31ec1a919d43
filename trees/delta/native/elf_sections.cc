#include "elf_sections.h"

#include <elf.h>

#include <algorithm>

namespace trees::delta {

namespace {

// What is shorter is left with what is before it: naming a piece costs some bytes, too.
constexpr uint64_t MIN_PIECE = 256;
constexpr size_t MAX_SECTIONS = 1 << 16;
// How Go's table of functions begins, since 1.18 and since 1.20.
constexpr uint32_t GO_1_18 = 0xfffffff0, GO_1_20 = 0xfffffff1;

template <typename T> bool read_struct(View file, uint64_t offset, T &value) {
  if (offset > file.size || sizeof value > file.size - offset)
    return false;
  std::memcpy(&value, file.data + offset, sizeof value);
  return true;
}

bool is_x86(unsigned machine) {
  return machine == EM_386 || machine == EM_X86_64;
}

struct Section {
  uint64_t start;
  uint64_t end;
  Content kind;
  bool go_table;
};

class Sections {
public:
  explicit Sections(View file) : file_(file) {}

  std::vector<ContentPiece> run() {
    Elf64_Ehdr header;
    // Only headers of this machine's byte order, which is little-endian wherever this runs, are read.
    bool readable = read_struct(file_, 0, header) && header.e_ident[EI_CLASS] == ELFCLASS64 &&
                    header.e_ident[EI_DATA] == ELFDATA2LSB && G_BYTE_ORDER == G_LITTLE_ENDIAN;
    code_ = readable && !is_x86(header.e_machine) ? Content::OtherCode : Content::X86Code;
    if (!readable || !find_sections(header)) {
      add(is_x86_file() ? Content::X86Code : Content::Other, file_.size);
      return std::move(pieces_);
    }
    for (const Section &section : sections_) {
      if (section.start < at_)
        continue; // within another one
      add(Content::Data, section.start);
      if (section.go_table)
        add_go_table(section);
      add(section.kind, section.end);
    }
    add(Content::Data, file_.size);
    return std::move(pieces_);
  }

private:
  bool is_x86_file() const {
    return file_.size >= 20 && file_.data[EI_DATA] == ELFDATA2LSB &&
           is_x86(file_.data[18] | static_cast<unsigned>(file_.data[19]) << 8);
  }

  // Extends the pieces up to `end`.
  void add(Content kind, uint64_t end) {
    if (end <= at_)
      return;
    bool same = !pieces_.empty() && (pieces_.back().kind == kind || end - at_ < MIN_PIECE);
    if (same)
      pieces_.back().size += end - at_;
    else
      pieces_.push_back({kind, at_, end - at_});
    at_ = end;
  }

  bool find_sections(const Elf64_Ehdr &header) {
    if (header.e_shoff == 0 || header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shnum == 0)
      return false;
    std::vector<Elf64_Shdr> headers(header.e_shnum);
    for (size_t i = 0; i < headers.size(); i++) {
      uint64_t offset;
      if (__builtin_add_overflow(header.e_shoff, i * sizeof(Elf64_Shdr), &offset) ||
          !read_struct(file_, offset, headers[i]))
        return false;
    }
    View names;
    if (header.e_shstrndx < headers.size())
      names = content_of(headers[header.e_shstrndx]);
    for (const Elf64_Shdr &section : headers) {
      if (section.sh_type == SHT_NULL || section.sh_type == SHT_NOBITS || content_of(section).size == 0)
        continue;
      std::string_view name = name_of(names, section.sh_name);
      sections_.push_back({section.sh_offset, section.sh_offset + section.sh_size, kind_of(section, name),
                           name.ends_with(".gopclntab")});
    }
    // Longer ones first, of those that start at the same place.
    std::sort(sections_.begin(), sections_.end(), [](const Section &a, const Section &b) {
      return std::tuple(a.start, b.end, a.kind) < std::tuple(b.start, a.end, b.kind);
    });
    return !sections_.empty();
  }

  View content_of(const Elf64_Shdr &section) const {
    if (section.sh_offset > file_.size || section.sh_size > file_.size - section.sh_offset)
      return View();
    return View(file_.data + section.sh_offset, section.sh_size);
  }

  static std::string_view name_of(View names, uint64_t offset) {
    if (offset >= names.size)
      return {};
    std::string_view rest = names.text().substr(offset);
    return rest.substr(0, rest.find('\0'));
  }

  Content kind_of(const Elf64_Shdr &section, std::string_view name) const {
    switch (section.sh_type) {
    case SHT_RELA:
      return Content::Relocations;
    case SHT_SYMTAB:
    case SHT_DYNSYM:
    case SHT_HASH:
    case SHT_GNU_HASH:
    case SHT_GNU_versym:
      return Content::Symbols;
    case SHT_STRTAB:
      return Content::Strings;
    case SHT_DYNAMIC:
    case SHT_INIT_ARRAY:
    case SHT_FINI_ARRAY:
      return Content::Pointers;
    default:
      break;
    }
    if ((section.sh_flags & SHF_EXECINSTR) != 0)
      return code_;
    if (name == ".eh_frame" || name == ".eh_frame_hdr" || name == ".gcc_except_table")
      return Content::Unwinding;
    if (name.starts_with(".rodata"))
      return Content::Constants;
    if (name.starts_with(".data.rel.ro") || name.starts_with(".got"))
      return Content::Pointers;
    return Content::Data;
  }

  // After the header: names of functions, files and so on; counters; an index of the functions; the
  // functions.
  void add_go_table(const Section &section) {
    struct {
      uint32_t magic;
      uint8_t zero[2];
      uint8_t quantum;
      uint8_t pointer_size;
      uint64_t functions;
      uint64_t files;
      uint64_t text;
      uint64_t names;
      uint64_t units;
      uint64_t file_names;
      uint64_t counters;
      uint64_t index;
    } header;
    View table(file_.data + section.start, section.end - section.start);
    if (!read_struct(table, 0, header) || (header.magic != GO_1_18 && header.magic != GO_1_20) ||
        header.pointer_size != sizeof(uint64_t) || header.counters > header.index ||
        header.index > table.size || header.functions > (table.size - header.index) / 8)
      return;
    add(Content::Strings, section.start + header.counters);
    add(Content::GoCounters, section.start + header.index);
    add(Content::GoFunctions, section.start + header.index + header.functions * 8);
    add(Content::GoDetails, section.end);
  }

  View file_;
  Content code_ = Content::X86Code;
  std::vector<Section> sections_;
  std::vector<ContentPiece> pieces_;
  uint64_t at_ = 0;
};

} // namespace

bool is_program(View file) {
  return file.size >= sizeof(Elf32_Ehdr) && file.text().starts_with(std::string_view(ELFMAG, SELFMAG));
}

std::vector<ContentPiece> content_pieces(View program) {
  return Sections(program).run();
}

} // namespace trees::delta
