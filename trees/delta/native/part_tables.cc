#include "part_tables.h"

#include "framing.h"

namespace trees::delta {

PartTables split_part(View part) {
  unsigned width = offset_size(part.size);
  if (width == 0 || part.size < 3 * uint64_t{width})
    corrupt("a part is too short");
  uint64_t body = part.size - 3 * uint64_t{width};
  const uint8_t *offsets = part.data + body;
  uint64_t payload_end = read_offset(offsets, width);
  uint64_t xattrs_end = read_offset(offsets + width, width);
  uint64_t modes_end = read_offset(offsets + 2 * width, width);
  if (modes_end > xattrs_end || xattrs_end > payload_end || payload_end > body || modes_end % MODE_SIZE != 0)
    corrupt("the framing of a part is damaged");
  PartTables tables;
  tables.modes = View(part.data, modes_end);
  tables.payload = View(part.data + xattrs_end, payload_end - xattrs_end);
  tables.operations = View(part.data + payload_end, body - payload_end);
  GBytes *bytes = g_bytes_new(part.data + modes_end, xattrs_end - modes_end);
  tables.xattrs.reset(g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE("aa(ayay)"), bytes, FALSE)));
  g_bytes_unref(bytes);
  if (!g_variant_is_normal_form(tables.xattrs.get()))
    corrupt("the extended attributes of a part are malformed");
  return tables;
}

} // namespace trees::delta
