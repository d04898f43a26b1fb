# Prints the delta-coded range tables of [15] from Python's own Unicode data.
import unicodedata

def kind(cp):
    ch = chr(cp)
    major = unicodedata.category(ch)[0]
    return "LETTERS" if major == "L" else "NUMBERS" if major == "N" else ""

def table(name):
    out, at, cp = [], 0, 0
    while cp < 0x110000:
        if kind(cp) == name:
            end = cp
            while end < 0x110000 and kind(end) == name:
                end += 1
            out += [cp - at, end - cp]
            at = cp = end
        cp += 1
    print("static const uint16_t TOK_%s[] = {" % name)
    line = "   "
    for v in out:
        item = " %d," % v
        if len(line) + len(item) > 92:
            print(line)
            line = "   "
        line += item
    print(line[:-1] + "};")
    return at

print("/* Unicode %s */" % unicodedata.unidata_version)
end = max(table("LETTERS"), table("NUMBERS"))
print("#define TOK_CODES 0x%Xu" % end)
