#!/usr/bin/env python3
"""A second implementation of the numerics contract ANC-1, from its text at the head of
almost.c and in REPRODUCE.md, in plain integers: no float is ever computed with. It repeats, bit
for bit, what the program does: the numeric lines of `almost kat`, then on a tiny model the
initial weights, a pretraining step, fine-tuning steps, a reward model step, DPO steps, logits, a
sampled reply, and an iteration of PPO.

    python3 tests/reference.py [PROGRAM] [--only NAME,...]

Standard library only. Ends with "N passed, N failed"; a few minutes on one core.

A number is a pair (m, e) of integers and means m*2^e; zero is (0, 0), minus zero (0, 1). There
are no infinities or NaNs: the contract makes them errors, and so does this file.
"""
import hashlib, json, math, os, struct, subprocess, sys, tempfile

# ---- IEEE-754 in integers: exact result first, then one rounding ----

P0, N0, ONE = (0, 0), (0, 1), (1, 0)
F32, F64 = (24, -149, 128), (53, -1074, 1024)   # bits, least exponent, overflow at 2^


def rnd(s, e, fmt):
    """s*2^e to nearest, ties to even, gradual underflow."""
    n = max(s.bit_length() - fmt[0], fmt[1] - e)
    if n > 0:
        m = (s + (1 << n - 1) - 1 + (s >> n & 1)) >> n
        if m == 0:
            return N0 if s < 0 else P0
        s, e = m, e + n
    if s.bit_length() + e > fmt[2]:
        raise OverflowError("not finite")
    return (s, e) if s else P0


def minus(x):  # is the sign bit set?
    return x[0] < 0 or x == N0


def neg(x):
    return (-x[0], x[1]) if x[0] else (N0 if x == P0 else P0)


def total(x, y):  # exact sum as (integer, exponent)
    (a, i), (b, j) = x, y
    if not a or not b:
        return (b, j) if not a else (a, i)
    return ((a << i - j) + b, j) if i > j else (a + (b << j - i), i)


def add(x, y, fmt):
    s, e = total(x, y)
    if s == 0:
        return N0 if x == N0 and y == N0 else P0
    return rnd(s, e, fmt)


def mul(x, y, fmt):
    s = x[0] * y[0]
    if s == 0:
        return N0 if minus(x) != minus(y) else P0
    return rnd(s, x[1] + y[1], fmt)


def div(x, y, fmt):
    a, b = abs(x[0]), abs(y[0])
    if b == 0:
        raise OverflowError("division by zero")
    sign = minus(x) != minus(y)
    if a == 0:
        return N0 if sign else P0
    k = max(fmt[0] + 3 + b.bit_length() - a.bit_length(), 0)
    q, r = divmod(a << k, b)
    q = 2 * q + (r != 0)  # the last bit stands for all that follows
    return rnd(-q if sign else q, x[1] - y[1] - k - 1, fmt)


def sqrt(x, fmt=F64):
    m, e = x
    if m <= 0:
        if m < 0:
            raise OverflowError("root of a negative number")
        return x
    k = max(2 * fmt[0] + 4 - m.bit_length(), 0)
    k += (e - k) & 1
    r = math.isqrt(m << k)
    return rnd(2 * r + (r * r != m << k), (e - k) // 2 - 1, fmt)


def fma(a, b, c):
    p = a[0] * b[0]
    if p == 0:
        if c[0]:
            return c
        sign = minus(a) != minus(b)
        return N0 if sign and c == N0 else P0
    s, e = total((p, a[1] + b[1]), c)
    return rnd(s, e, F32) if s else P0


def add32(x, y): return add(x, y, F32)
def sub32(x, y): return add(x, neg(y), F32)
def mul32(x, y): return mul(x, y, F32)
def div32(x, y): return div(x, y, F32)
def add64(x, y): return add(x, y, F64)
def sub64(x, y): return add(x, neg(y), F64)
def mul64(x, y): return mul(x, y, F64)
def div64(x, y): return div(x, y, F64)
def f32(x): return rnd(x[0], x[1], F32) if x[0] else x
def f64(x): return rnd(x[0], x[1], F64) if x[0] else x
def whole(i): return rnd(i, 0, F64)


def less(x, y):
    return total(x, (-y[0], y[1]))[0] < 0


def bits(x, fmt=F32):
    p, low, top = fmt
    m, e = abs(x[0]), x[1]
    sign = minus(x) << (31 if fmt is F32 else 63)
    if m == 0:
        return sign
    n = max(m.bit_length() - p, low - e)
    m, e = (m >> n if n > 0 else m << -n), e + n
    return sign | (m if m < 1 << p - 1 else (e - low + 1 << p - 1) + m - (1 << p - 1))


def from_bits(u, fmt=F32):
    p, low, top = fmt
    u, sign = u & (1 << (31 if fmt is F32 else 63)) - 1, u >> (31 if fmt is F32 else 63)
    m, e = u & (1 << p - 1) - 1, u >> p - 1
    if e > 2 * top - 2:
        return None
    if e:
        m, e = m | 1 << p - 1, e - 1
    return (-m if sign else m, e + low) if m else (N0 if sign else P0)


def lit(s, fmt=F64):
    """A decimal or hexadecimal literal, read exactly and rounded once."""
    if isinstance(s, int):
        return rnd(s, 0, fmt)
    m, _, e = s.lower().partition("e")
    w, _, f = m.partition(".")
    n, k = int(w + f), int(e or 0) - len(f)
    return div((n, 0), (10 ** -k, 0), fmt) if k < 0 else rnd(n * 10 ** k, 0, fmt)


def single(s): return lit(s, F32)


def i64_fix(x):
    """RNE(x * 2^32) with the range check of FIX."""
    if not (less(x, (1 << 18, 0)) and less((-1 << 18, 0), x)):
        raise OverflowError("beyond the range of FIX")
    return to_integer(x, 32)


def to_integer(x, k):
    """RNE(x * 2^k)."""
    n = -(x[1] + k)
    return x[0] << -n if n <= 0 else x[0] + (1 << n - 1) - 1 + (x[0] >> n & 1) >> n


# ---- elementary functions: correctly rounded, by intervals that shrink until they decide ----

def shift(m, k): return m << k if k >= 0 else m >> -k


constants = {}


def ln2(w):
    if ("ln2", w) not in constants:
        constants["ln2", w] = 2 * atanh((1 << w + 9) // 3, w + 9) >> 9
    return constants["ln2", w]


def half_pi(w):
    if ("pi", w) not in constants:
        def atan(n):
            t = (1 << w + 9) // n
            s, k = t, 1
            while t:
                t = -t // (n * n)
                k += 2
                s += t // k
            return s
        constants["pi", w] = 2 * (4 * atan(5) - atan(239)) >> 9
    return constants["pi", w]


def atanh(z, w):
    s, t, k, q = z, z, 1, z * z >> w
    while t and t != -1:
        t = t * q >> w
        k += 2
        s += t // k
    return s


def decide(approximate):
    """approximate(w) -> v, k, err with the true value in (v +- err)*2^-k."""
    w = 64
    while True:
        v, k, err = approximate(w)
        a, b = rnd(v - err, -k, F32), rnd(v + err, -k, F32)
        if a == b or bits(a) == bits(b):
            return a
        w *= 2


EXP_ZERO_BELOW = from_bits(0xC2AEAC50)  # nearest binary32 to -87.33654


def exp(x):
    if less(x, EXP_ZERO_BELOW):
        return P0
    if x[0] == 0:
        return ONE
    m, e = x

    def approximate(w):
        w += 32
        L, X = ln2(w), shift(m, w + e)
        n = (2 * X + L) // (2 * L)
        t = X - n * L >> 8
        s, u, k = 1 << w, t, 1
        while u and u != -1:
            s += u
            k += 1
            u = (u * t >> w) // k
        for _ in range(8):
            s = s * s >> w
        return s, w - n, 1 << 24
    return decide(approximate)


def ln(M, s):
    """ln of the rational M*2^-s, M > 0 an integer."""
    n = M.bit_length() - 1 - s
    if M * M > 1 << 2 * (n + s) + 1:
        n += 1
    one = 1 << max(s + n, 0)
    M <<= max(-(s + n), 0)
    if M == one and n == 0:
        return P0
    small = one.bit_length() - abs(M - one).bit_length() if n == 0 else 0

    def approximate(w):
        w += 16 + small
        z = (M - one << w) // (M + one)
        return 2 * atanh(z, w) + n * ln2(w), w, 1 << 12
    return decide(approximate)


def log(x):
    if x[0] <= 0:
        raise OverflowError("logarithm of a number not above 0")
    return ln(x[0] << max(x[1], 0), max(-x[1], 0))


def log1p(x):
    if x[0] == 0:
        return x
    k = max(-x[1], 0)
    return ln((1 << k) + (x[0] << max(x[1], 0)), k)


def trig(x, quarter):
    m, e = x
    if m == 0:
        return ONE if quarter else x
    small = max(-(abs(m).bit_length() + e), 0)

    def approximate(w):
        w += 48 + small
        H, X = half_pi(w), shift(m, w + e)
        n = (2 * X + H) // (2 * H)
        r = X - n * H
        n = n + quarter & 3
        k, t = (0, 1 << w) if n & 1 else (1, r)
        s, q = t, r * r >> w
        while t and t != -1:
            t = -(t * q >> w) // ((k + 1) * (k + 2))
            k += 2
            s += t
        return -s if n & 2 else s, w, 1 << 32
    return decide(approximate)


def sin(x): return trig(x, 0)
def cos(x): return trig(x, 1)


def rope_frequency(theta, i, d):
    """Nearest binary32 to theta^(-2i/d): the d-th root of an integer, floor, 64 bits past."""
    if i == 0:
        return ONE
    m, e = theta
    p = 2 * i
    w = 64 + 24 + p * (m.bit_length() + e) // d
    big = (1 << w * d - min(e, 0) * p) // (m ** p << max(e, 0) * p)
    root = 1 << big.bit_length() // d + 1
    while True:
        better = ((d - 1) * root + big // root ** (d - 1)) // d
        if better >= root:
            break
        root = better
    return rnd(2 * root + 1, -w - 1, F32)


def sigmoid(g):
    if minus(g) and g != N0:
        e = exp(g)
        return div32(e, add32(ONE, e))
    return div32(ONE, add32(ONE, exp(neg(g))))


# ---- the three shapes of sums ----

def chain(a, b, acc=P0):
    """CHAIN: acc = fma(a[k], b[k], acc), k ascending, then + 0. A product that is zero can only
    touch the sign of a zero, which the last addition settles; so it is passed over."""
    m, e = acc
    for (p, i), (q, j) in zip(a, b):
        p *= q
        if p:
            i += j
            if not m:
                m, e = p, i
            elif i > e:
                m += p << i - e
            else:
                m, e = p + (m << e - i), i
            n = m.bit_length() - 24
            if n < -149 - e:
                n = -149 - e
            if n > 0:
                m = m + (1 << n - 1) - 1 + (m >> n & 1) >> n
                e += n
    if m.bit_length() + e > 128:
        raise OverflowError("not finite")
    return (m, e) if m else P0


def fold(l):
    return add64(add64(add64(l[0], l[4]), add64(l[2], l[6])),
                 add64(add64(l[1], l[5]), add64(l[3], l[7])))


def lane8(x):
    l = [P0] * 8
    for i, v in enumerate(x):
        l[i & 7] = add64(l[i & 7], v)
    return fold(l)


def lane8_dot(x, y):
    return lane8(mul64(a, b) for a, b in zip(x, y))


def most(x):
    m = x[0] if x else P0
    for v in x:
        if less(m, v):
            m = v
    return m if m[0] else P0


# ---- rows ----

def exp_shift(x, m):
    e = [exp(sub32(v, m)) for v in x]
    return e, lane8(e)


def rms(x, w, eps):
    mean = div64(lane8_dot(x, x), whole(len(x)))
    inv = f32(div64(ONE, sqrt(add64(mean, eps))))
    return [mul32(mul32(v, inv), u) for v, u in zip(x, w)], inv


def rms_back(dy, x, w, inv, dw):
    t = [mul32(d, u) for d, u in zip(dy, w)]
    c = mul64(mul64(mul64(lane8_dot(t, x), inv), inv), inv)
    c = f32(div64(c, whole(len(x))))
    for i, v in enumerate(x):
        dw[i] = fma(dy[i], mul32(v, inv), dw[i])
    return [sub32(mul32(t[i], inv), mul32(v, c)) for i, v in enumerate(x)]


def swiglu(g, u):
    return [mul32(mul32(a, sigmoid(a)), b) for a, b in zip(g, u)]


def swiglu_back(dh, g, u):
    dg, du = [], []
    for d, a, b in zip(dh, g, u):
        s = sigmoid(a)
        du.append(mul32(d, mul32(a, s)))
        slope = add32(ONE, mul32(a, sub32(ONE, s)))
        dg.append(mul32(mul32(d, b), mul32(s, slope)))
    return dg, du


def rope(x, cs, back):
    y = list(x)
    for i in range(len(cs) // 2):
        c, s = cs[2 * i], neg(cs[2 * i + 1]) if back else cs[2 * i + 1]
        a, b = x[2 * i], x[2 * i + 1]
        y[2 * i] = sub32(mul32(a, c), mul32(b, s))
        y[2 * i + 1] = add32(mul32(a, s), mul32(b, c))
    return y


def add_rows(a, b): return [add32(x, y) for x, y in zip(a, b)]
def scale(x, s): return [mul32(v, s) for v in x]


def drop_tiny(x):
    return x if abs(x[0]).bit_length() + x[1] > -126 else P0


def adamw(w, m, v, q, s):
    g = mul32(f32(mul64(whole(q), s["unfix"])), s["clip"])
    m = drop_tiny(add32(mul32(s["b1"], m), mul32(s["nb1"], g)))
    v = drop_tiny(add32(mul32(s["b2"], v), mul32(s["nb2"], mul32(g, g))))
    root = f32(sqrt(mul32(v, s["c2"])))
    step = div32(mul32(m, s["c1"]), add32(root, s["eps"]))
    step = add32(step, mul32(s["wd"], w))
    return sub32(w, mul32(s["lr"], step)), m, v


def sumsq_fix(q, unfix):
    g = [f32(mul64(whole(x), unfix)) if x else P0 for x in q]
    return lane8_dot(g, g)


# ---- random draws ----

INIT, SHUFFLE, TOKEN, PROMPT, TEST = 1, 2, 3, 5, 11
U32 = (1 << 32) - 1


def draw(seed, purpose, item, n):
    c = [n & U32, item & U32, item >> 32, purpose]
    k0, k1 = seed & U32, seed >> 32
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [q >> 32 ^ c[1] ^ k0, q & U32, p >> 32 ^ c[3] ^ k1, p & U32]
        k0, k1 = k0 + 0x9E3779B9 & U32, k1 + 0xBB67AE85 & U32
    return c[0] | c[1] << 32


class Draws:
    def __init__(self, seed, purpose, item):
        self.key, self.n = (seed, purpose, item), 0

    def u64(self):
        self.n += 1
        return draw(*self.key, self.n - 1)

    def below(self, n):
        while True:
            x = self.u64() * n
            if x & (1 << 64) - 1 >= (1 << 64) % n:
                return x >> 64

    def shuffle(self, n):
        p = list(range(n))
        for i in range(n - 1, 0, -1):
            j = self.below(i + 1)
            p[i], p[j] = p[j], p[i]
        return p


# ---- sampling ----

def top_p_units(p):
    """A probability in 1/65536: nearest, a half goes up."""
    m, e = add64(mul64(p, (65536, 0)), (1, -1))
    return m << e if e >= 0 else m >> -e


def sample(x, temperature, top_k, top_p, greedy, u):
    """The id drawn from logits x by the 64-bit integer u, and its log-probability."""
    y = x if greedy or temperature == ONE else [div32(v, temperature) for v in x]
    m = most(y)
    e, z = exp_shift(y, m)
    if greedy:
        i = next(i for i, v in enumerate(y) if not less(v, m))
    else:
        w = [to_integer(v, 30) for v in e]
        order = sorted(range(len(w)), key=lambda i: (-w[i], i))
        if top_k and top_k < len(w):
            order = order[:top_k]
        if top_p < 65536:
            whole_mass, mass, n = sum(w[i] for i in order), 0, 0
            while mass << 16 < top_p * whole_mass:
                mass += w[order[n]]
                n += 1
            order = order[:n]
        keep = set(order)
        r, mass = u * sum(w[i] for i in keep) >> 64, 0
        for i in range(len(w)):
            mass += w[i] if i in keep else 0
            if mass > r:
                break
    return i, sub32(sub32(y[i], m), log(f32(z)))


# ---- files and the model ----

PANEL = 32


class Model:
    """Shape, weights as rows of numbers, and the order they have in memory."""

    def __init__(self, dim, hidden, layers, heads, kv, vocab, context, eps, theta, head):
        self.dim, self.hidden, self.layers, self.heads = dim, hidden, layers, heads
        self.kv, self.vocab, self.context, self.eps = kv, vocab, context, eps
        self.theta, self.S, self.head = theta, dim // heads, head
        kv_dim = self.S * kv
        t = [("token_embd", vocab, dim)]
        for l in range(layers):
            for name, r, c in (("attn_norm", 0, dim), ("attn_q", dim, dim),
                               ("attn_k", kv_dim, dim), ("attn_v", kv_dim, dim),
                               ("attn_output", dim, dim), ("ffn_norm", 0, dim),
                               ("ffn_gate", hidden, dim), ("ffn_up", hidden, dim),
                               ("ffn_down", dim, hidden)):
                t.append((f"blk.{l}.{name}", r, c))
        t.append(("output_norm", 0, dim))
        if head:
            t.append(("almost.head", 1, dim))
        self.table = [(n + ".weight", r, c) for n, r, c in t]  # rows 0: a vector
        self.w = {}
        self.shift, self.scale, self.tokens = P0, ONE, None
        freq = [rope_frequency(theta, i, self.S) for i in range(self.S // 2)]
        self.freq, self.angles = freq, {}

    def angle(self, pos):
        if pos not in self.angles:
            a = [mul32(f32((pos, 0)), f) for f in self.freq]
            self.angles[pos] = [v for x in a for v in (cos(x), sin(x))]
        return self.angles[pos]

    def memory(self, of, zero):
        """Every element in the order of memory: matrices in panels of 32 rows, column by
        column; vectors filled up to 32; `zero` where nothing is."""
        for name, rows, cols in self.table:
            x = of[name]
            if rows == 0:
                yield from x
                yield from [zero] * (-cols % PANEL)
                continue
            for p in range(0, rows, PANEL):
                for c in range(cols):
                    for j in range(p, p + PANEL):
                        yield x[j][c] if j < rows else zero

    def hash(self):
        b = b"".join(struct.pack("<I", bits(v)) for v in self.memory(self.w, P0))
        leaves = [hashlib.sha256(b[i:i + 65536]).digest() for i in range(0, len(b), 65536)]
        return hashlib.sha256(b"".join(leaves)).digest()

    def init_matrix(self, item, seed, deviation):
        name, rows, cols = self.table[item]
        out = []
        for i in range(0, rows * cols, 2):
            u = draw(seed, INIT, item, i // 2)
            angle = mul32(rnd(u >> 16 & 0xFFFFFF, -24, F32), single("6.28318548"))
            r = f32(sqrt(mul32((-2, 0), log(((u >> 40) + 1, -24)))))
            out += [mul32(mul32(r, cos(angle)), deviation), mul32(mul32(r, sin(angle)), deviation)]
        self.w[name] = [out[i * cols:(i + 1) * cols] for i in range(rows)]

    def init(self, seed):
        residual = f32(div64(lit("0.02"), sqrt(mul64((2, 0), whole(self.layers)))))
        for item, (name, rows, cols) in enumerate(self.table):
            writes = "attn_output" in name or "ffn_down" in name
            if rows:
                self.init_matrix(item, seed, residual if writes else single("0.02"))
            else:
                self.w[name] = [ONE] * cols
        if self.head:
            self.init_head(seed)

    def init_head(self, seed):
        self.init_matrix(len(self.table) - 1, seed,
                         f32(div64(ONE, sqrt(add64(whole(self.dim), ONE)))))

    def copy(self, head):
        m = Model(self.dim, self.hidden, self.layers, self.heads, self.kv, self.vocab,
                  self.context, self.eps, self.theta, head)
        m.w = {n: [list(r) if isinstance(r, list) else r for r in x] for n, x in self.w.items()}
        m.shift, m.scale, m.tokens, m.angles = self.shift, self.scale, self.tokens, self.angles
        return m


def gguf(path):
    """Keys and tensors {name: (dims, floats as numbers)} of a GGUF v3 file of F32 tensors."""
    b, at = open(path, "rb").read(), 0

    def take(f):
        nonlocal at
        v = struct.unpack_from("<" + f, b, at)[0]
        at += struct.calcsize("<" + f)
        return v

    def text():
        nonlocal at
        n = take("Q")
        at += n
        return b[at - n:at]

    def value(t):
        if t == 8:
            return text()
        if t == 9:
            inner, n = take("I"), take("Q")
            return [value(inner) for _ in range(n)]
        if t == 6:
            return from_bits(take("I"))
        return take({0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 7: "B", 10: "Q", 11: "q"}[t])
    assert b[:4] == b"GGUF" and struct.unpack_from("<I", b, 4)[0] == 3
    at = 8
    n_tensors, n_keys = take("Q"), take("Q")
    keys = {}
    for _ in range(n_keys):
        name = text().decode()
        keys[name] = value(take("I"))
    infos = []
    for _ in range(n_tensors):
        name = text().decode()
        dims = [take("Q") for _ in range(take("I"))]
        assert take("I") == 0, "an F32 tensor"
        infos.append((name, dims, take("Q")))
    at = -(-at // 32) * 32
    tensors = {}
    for name, dims, offset in infos:
        n = math.prod(dims)
        u = struct.unpack_from(f"<{n}I", b, at + offset)
        tensors[name] = (dims, [from_bits(x) for x in u])
    return keys, tensors


def load(path):
    k, t = gguf(path)
    g = lambda name: k["llama." + name]
    m = Model(g("embedding_length"), g("feed_forward_length"), g("block_count"),
              g("attention.head_count"), g("attention.head_count_kv"), g("vocab_size"),
              g("context_length"), g("attention.layer_norm_rms_epsilon"), g("rope.freq_base"),
              "almost.head" in k)
    if m.head:
        t["almost.head.weight"] = [m.dim], k["almost.head"]
    for name, rows, cols in m.table:
        v = t[name][1]
        m.w[name] = [v[i * cols:(i + 1) * cols] for i in range(rows)] if rows else v
    m.shift, m.scale = k.get("almost.reward.shift", P0), k.get("almost.reward.scale", ONE)
    m.bos, m.eos = k["tokenizer.ggml.bos_token_id"], k["tokenizer.ggml.eos_token_id"]
    m.tokens = pieces(k["tokenizer.ggml.tokens"], k["tokenizer.ggml.token_type"])
    return m


def pieces(tokens, types):
    """The bytes of each token: GPT-2 writes bytes as printable characters; none if special."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    back = {chr(c): c for c in plain}
    for i, c in enumerate(c for c in range(256) if c not in plain):
        back[chr(256 + i)] = c
    return [bytes(back[c] for c in t.decode()) if kind == 1 else
            t if kind == 4 else b"" for t, kind in zip(tokens, types)]


# ---- forward and backward over the rows of one sample ----

class Acts:
    pass


def matmul(X, W): return [[chain(x, w) for w in W] for x in X]


def columns(W): return list(zip(*W))


def layer_weights(m, l):
    w = lambda n: m.w[f"blk.{l}.{n}.weight"]
    qkv = w("attn_q") + w("attn_k") + w("attn_v")
    gu = w("ffn_gate") + w("ffn_up")
    return w("attn_norm"), qkv, w("attn_output"), w("ffn_norm"), gu, w("ffn_down")


def factor(m): return f32(div64(ONE, sqrt(whole(m.S))))


def heads_of(m, row, begin, count):
    return [row[begin + h * m.S:begin + (h + 1) * m.S] for h in range(count)]


def attend(m, a, first, count, pos, cache):
    """Rows [first, first+count) of one sequence, at positions from pos. The cache holds keys
    (rotated) and values of every position so far, per key/value head."""
    S, H, K, D = m.S, m.heads, m.kv, m.dim
    fac = factor(m)
    for i in range(first, first + count):
        row, cs = a.qkv[i], m.angle(pos + i - first)
        q = [scale(rope(x, cs, 0), fac) for x in heads_of(m, row, 0, H)]
        k = [rope(x, cs, 0) for x in heads_of(m, row, D, K)]
        v = heads_of(m, row, D + K * S, K)
        for g in range(K):
            cache[0][g].append(k[g])
            cache[1][g].append(v[g])
        out, probs = [], []
        for h in range(H):
            keys, values = cache[0][h * K // H], cache[1][h * K // H]
            s = [chain(q[h], key) for key in keys]
            e, z = exp_shift(s, most(s))
            p = scale(e, f32(div64(ONE, z)))
            probs.append(p)
            out += [chain(p, c) for c in columns(values)]
        a.q.append(q)
        a.p.append(probs)
        a.att.append(out)


def forward(m, seqs, caches=None):
    """All layers over the rows of the sequences one after another. With caches (one list per
    sequence, an entry per layer) the rows come after those the caches hold."""
    ids = [i for s in seqs for i in s]
    x = [m.w["token_embd.weight"][i] for i in ids]
    acts = []
    if caches is None:
        caches = [new_cache(m) for _ in seqs]
    at = [len(c[0][0][0]) for c in caches]
    for l in range(m.layers):
        norm1, qkv, o, norm2, gu, down = layer_weights(m, l)
        a = Acts()
        a.x, a.q, a.p, a.att = x, [], [], []
        a.n1, a.r1 = zip(*(rms(r, norm1, m.eps) for r in x))
        a.qkv = matmul(a.n1, qkv)
        first = 0
        for s, c, pos in zip(seqs, caches, at):
            attend(m, a, first, len(s), pos, c[l])
            first += len(s)
        a.kv = [c[l] for c in caches]
        y = matmul(a.att, o)
        a.x2 = [add_rows(p, q) for p, q in zip(x, y)]
        a.n2, a.r2 = zip(*(rms(r, norm2, m.eps) for r in a.x2))
        a.gu = matmul(a.n2, gu)
        a.h = [swiglu(r[:m.hidden], r[m.hidden:]) for r in a.gu]
        y = matmul(a.h, down)
        x = [add_rows(p, q) for p, q in zip(a.x2, y)]
        acts.append(a)
    a = Acts()
    a.x = x
    a.n1, a.r1 = zip(*(rms(r, m.w["output_norm.weight"], m.eps) for r in x))
    return acts + [a]


def new_cache(m):
    return [[[[] for _ in range(m.kv)], [[] for _ in range(m.kv)]] for _ in range(m.layers)]


class Gradient:
    """Q: fixed-point sums per tensor, row-major."""

    def __init__(self, m):
        self.m = m
        self.q = {n: [0] * (r * c or c) for n, r, c in m.table}

    def matrix(self, names, X, dY):
        """Q += FIX of dW = dY' X, one chain over the rows; `names` are stacked."""
        xs, ys = columns(X), columns(dY)
        if not xs:
            return
        at = 0
        for name in names:
            q, rows, cols = self.q[name], *next((r, c) for n, r, c in self.m.table if n == name)
            for i in range(rows):
                for k in range(cols):
                    q[i * cols + k] += i64_fix(chain(xs[k], ys[at + i]))
            at += rows

    def vector(self, name, dw):
        for i, v in enumerate(dw):
            self.q[name][i] += i64_fix(v)


def norm_backward(m, grad, name, dn, x, r):
    dw = [P0] * m.dim
    dx = [rms_back(d, v, m.w[name], inv, dw) for d, v, inv in zip(dn, x, r)]
    grad.vector(name, dw)
    return dx


def attend_backward(m, a, first, count, kv, datt):
    """Rows [first, first+count) are one whole sequence; returns their dqkv."""
    S, H, K = m.S, m.heads, m.kv
    fac, G = factor(m), m.heads // m.kv
    dq = [[None] * H for _ in range(count)]
    dk, dv = [[None] * K for _ in range(count)], [[None] * K for _ in range(count)]
    for g in range(K):
        keys, values = kv[0][g], kv[1][g]
        DK, DV = [[P0] * S for _ in range(count)], [[P0] * S for _ in range(count)]
        for h in range(g * G, (g + 1) * G):
            ds, douts, qs = [], [], []
            for i in range(count):
                out = a.att[first + i][h * S:(h + 1) * S]
                do = datt[first + i][h * S:(h + 1) * S]
                p = a.p[first + i][h]
                d = f32(lane8_dot(do, out))
                dp = [chain(do, values[j]) for j in range(i + 1)]
                row = [mul32(p[j], sub32(dp[j], d)) for j in range(i + 1)]
                dq[i][h] = [chain(row, c) for c in columns(keys[:i + 1])]
                ds.append(row)
                douts.append(do)
                qs.append(a.q[first + i][h])
            for j in range(count):
                sj = [ds[i][j] for i in range(j, count)]
                pj = [a.p[first + i][h][j] for i in range(j, count)]
                cq, cd = columns(qs[j:]), columns(douts[j:])
                DK[j] = [chain(sj, cq[c], DK[j][c]) for c in range(S)]
                DV[j] = [chain(pj, cd[c], DV[j][c]) for c in range(S)]
        for j in range(count):
            dk[j][g], dv[j][g] = DK[j], DV[j]
    rows = []
    for i in range(count):
        cs, row = m.angle(i), []
        for h in range(H):
            row += rope(scale(dq[i][h], fac), cs, 1)
        for g in range(K):
            row += rope(dk[i][g], cs, 1)
        for g in range(K):
            row += dv[i][g]
        rows.append(row)
    return rows


def backward(m, grad, seqs, acts, dn):
    """From the gradient of the normalised hidden rows to Q, all parameters."""
    last = acts[-1]
    dx = norm_backward(m, grad, "output_norm.weight", dn, last.x, last.r1)
    for l in range(m.layers - 1, -1, -1):
        a, n = acts[l], lambda s: f"blk.{l}.{s}.weight"
        norm1, qkv, o, norm2, gu, down = layer_weights(m, l)
        dh = matmul(dx, columns(down))
        grad.matrix([n("ffn_down")], a.h, dx)
        dgu = []
        for d, r in zip(dh, a.gu):
            dg, du = swiglu_back(d, r[:m.hidden], r[m.hidden:])
            dgu.append(dg + du)
        dn2 = matmul(dgu, columns(gu))
        grad.matrix([n("ffn_gate"), n("ffn_up")], a.n2, dgu)
        back = norm_backward(m, grad, n("ffn_norm"), dn2, a.x2, a.r2)
        dx = [add_rows(p, q) for p, q in zip(dx, back)]
        datt = matmul(dx, columns(o))
        grad.matrix([n("attn_output")], a.att, dx)
        dqkv, first = [], 0
        for s, kv in zip(seqs, a.kv):
            dqkv += attend_backward(m, a, first, len(s), kv, datt)
            first += len(s)
        dn1 = matmul(dqkv, columns(qkv))
        grad.matrix([n("attn_q"), n("attn_k"), n("attn_v")], a.n1, dqkv)
        back = norm_backward(m, grad, n("attn_norm"), dn1, a.x, a.r1)
        dx = [add_rows(p, q) for p, q in zip(dx, back)]
    q, D = grad.q["token_embd.weight"], m.dim
    for i, d in zip((i for s in seqs for i in s), dx):
        for c in range(D):
            q[i * D + c] += i64_fix(d[c])


# ---- log-probabilities and values ----

def cool(x, t): return x if t == ONE else [div32(v, t) for v in x]


def logprob(x, target, t):
    """Logits to exps and what they say of the target."""
    x = cool(x, t)
    m = most(x)
    e, z = exp_shift(x, m)
    log_z = log(f32(z))
    s = Acts()
    s.logp = sub32(sub32(x[target], m), log_z)
    s.r = f32(div64(ONE, z))
    s.e, s.target, s.hit = e, target, not less(x[target], m)
    s.entropy = f32(sub64(add64(m, log_z), div64(lane8_dot(e, x), z)))
    return s


def logprob_back(s, weight, t):
    dx = scale(s.e, mul32(weight, s.r))
    dx[s.target] = sub32(dx[s.target], weight)
    return cool(dx, t)


def sample_gradient(m, grad, seqs, targets, values, objective, t=ONE):
    """One sample = one granule. targets: rows that predict, and what; values: rows whose scalar
    head is read. objective(scores, values) -> weights (-dL/dlogp), dvalues."""
    acts = forward(m, seqs)
    hidden = acts[-1].n1
    emb = m.w["token_embd.weight"]
    logits = matmul([hidden[r] for r, _ in targets], emb)
    scores = [logprob(x, i, t) for x, (_, i) in zip(logits, targets)]
    vh = [hidden[r] for r in values]
    read = [chain(h, m.w["almost.head.weight"][0]) for h in vh]
    weights, dvalues = objective(scores, read)
    dn = [[P0] * m.dim for _ in hidden]
    if targets:
        dlogits = [logprob_back(s, w, t) for s, w in zip(scores, weights)]
        dh = matmul(dlogits, columns(emb))
        grad.matrix(["token_embd.weight"], [hidden[r] for r, _ in targets], dlogits)
        for (r, _), d in zip(targets, dh):
            dn[r] = add_rows(dn[r], d)
    if values:
        dv = [[d] for d in dvalues]
        dh = matmul(dv, columns(m.w["almost.head.weight"]))
        grad.matrix(["almost.head.weight"], vh, dv)
        for r, d in zip(values, dh):
            dn[r] = add_rows(dn[r], d)
    backward(m, grad, seqs, acts, dn)


# ---- optimiser, schedule, tally, ledger ----

class Tally:
    def __init__(self):
        self.sum, self.count, self.units = {}, {}, 0

    def add(self, name, x, n=1):
        self.fixed(name, i64_fix(x), n)

    def fixed(self, name, q, n):
        self.sum[name] = self.sum.get(name, 0) + q
        self.count[name] = self.count.get(name, 0) + n

    def mean(self, name):
        if not self.count.get(name):
            return P0
        return div64(div64(whole(self.sum[name]), (1 << 32, 0)), whole(self.count[name]))


class Trainer:
    def __init__(self, m, lr, steps, warmup, decay, clip, schedule="cosine", lr_end=None,
                 b1="0.9", b2="0.95", eps="1e-8"):
        self.m, self.lr, self.steps, self.warmup = m, lr, steps, warmup
        self.lr_end = mul64(lr, lit("0.1")) if lr_end is None else lr_end
        self.schedule, self.decay, self.clip = schedule, decay, clip
        self.b1, self.b2, self.eps = single(b1), single(b2), single(eps)
        self.b1_pow = self.b2_pow = ONE
        self.step, self.head = 0, bytes(32)
        flat = {n: [P0] * (r * c or c) for n, r, c in m.table}
        self.m1, self.m2 = flat, {n: list(x) for n, x in flat.items()}
        self.begin()

    def begin(self):
        self.grad, self.tally, self.ids = Gradient(self.m), Tally(), b""

    def rate(self, step):
        if step <= self.warmup:
            return div64(mul64(self.lr, whole(step)), whole(self.warmup))
        if self.schedule == "constant" or self.steps <= self.warmup:
            return self.lr
        x = div64(whole(min(step, self.steps) - self.warmup), whole(self.steps - self.warmup))
        if self.schedule == "linear":
            return add64(self.lr, mul64(sub64(self.lr_end, self.lr), x))
        wave = add64(ONE, cos(f32(mul64(lit("3.14159265358979323846"), x))))
        wave = mul64(wave, (1, -1))
        return add64(self.lr_end, mul64(sub64(self.lr, self.lr_end), wave))

    def update(self):
        m, q = self.m, self.grad.q
        unfix = div64(ONE, mul64((1 << 32, 0), whole(self.tally.units)))
        rows = {n: [q[n][i * c:(i + 1) * c] for i in range(r)] if r else q[n]
                for n, r, c in m.table}
        flat, norm = list(m.memory(rows, 0)), P0
        for i in range(0, len(flat), 65536):
            norm = add64(norm, sumsq_fix(flat[i:i + 65536], unfix))
        self.norm = norm = sqrt(norm)
        self.last_rate = rate = self.rate(self.step + 1)
        self.b1_pow, self.b2_pow = mul64(self.b1_pow, self.b1), mul64(self.b2_pow, self.b2)
        clipped = self.clip[0] > 0 and less(self.clip, norm)
        s = {"unfix": unfix, "clip": f32(div64(self.clip, norm)) if clipped else ONE,
             "b1": self.b1, "nb1": sub32(ONE, self.b1), "b2": self.b2,
             "nb2": sub32(ONE, self.b2), "c1": f32(div64(ONE, sub64(ONE, self.b1_pow))),
             "c2": f32(div64(ONE, sub64(ONE, self.b2_pow))), "lr": f32(rate), "eps": self.eps}
        for n, r, c in m.table:
            s["wd"] = self.decay if r else P0
            w = [v for row in m.w[n] for v in row] if r else m.w[n]
            new = [adamw(*x, s) for x in zip(w, self.m1[n], self.m2[n], q[n])]
            w, self.m1[n], self.m2[n] = ([x[i] for x in new] for i in range(3))
            m.w[n] = [w[i * c:(i + 1) * c] for i in range(r)] if r else w
        self.step += 1
        self.last = self.tally
        self.ledger()
        self.begin()

    def ledger(self):
        samples, weights = hashlib.sha256(self.ids).digest(), self.m.hash()
        h = hashlib.sha256(self.head + struct.pack("<Q", self.step) + b"ANC-1" + samples +
                           struct.pack("<Q", bits(self.last.mean("loss"), F64)) + weights)
        self.line = {"step": self.step, "previous": self.head.hex(), "samples": samples.hex(),
                     "loss": self.last.mean("loss"), "weights": weights.hex(),
                     "hash": h.hexdigest()}
        self.head = h.digest()

    def note(self, sample_id):
        self.ids += struct.pack("<Q", sample_id)


def nll(t):
    """Cross-entropy over the targets of one sample."""
    def objective(scores, values):
        for s in scores:
            t.add("loss", neg(s.logp))
            t.fixed("mean_token_accuracy", int(s.hit) << 32, 1)
        t.units += len(scores)
        return [ONE] * len(scores), []
    return objective


def softplus(x):
    up = less(P0, x)
    return add32(x if up else P0, log1p(exp(neg(x) if up else x)))


def pair(t):
    """-log sigmoid(r0 - r1) for a pair, the better first."""
    def objective(scores, values):
        r0, r1 = values
        d = sub32(r0, r1)
        s = sigmoid(neg(d))
        t.units += 1
        t.add("loss", softplus(neg(d)))
        t.add("rewards/accuracies", ONE if less(P0, d) else P0)
        t.add("rewards/margins", d)
        t.add("rewards/chosen", r0)
        t.add("rewards/rejected", r1)
        return [], [neg(s), s]
    return objective


def preference(t, beta, first, reference):
    """Direct preference optimisation: `first` targets belong to the better reply, the rest to
    the other; `reference` holds both log-probabilities under the model training began with."""
    def objective(scores, values):
        sums, r = [P0, P0], []
        for i, s in enumerate(scores):
            sums[i >= first] = add64(sums[i >= first], f64(s.logp))
        for k in (0, 1):
            r.append(mul64(f64(beta), sub64(sums[k], reference[k])))
        margin = sub64(r[0], r[1])
        d = f32(margin)
        w = mul32(beta, sigmoid(neg(d)))
        t.units += 1
        t.add("loss", softplus(neg(d)))
        t.add("rewards/accuracies", ONE if less(P0, d) else P0)
        for name, x in (("rewards/margins", margin), ("rewards/chosen", r[0]),
                        ("rewards/rejected", r[1]), ("logps/chosen", sums[0]),
                        ("logps/rejected", sums[1])):
            t.add(name, x)
        return [w if i < first else neg(w) for i in range(len(scores))], []
    return objective


def order_of(seed, epoch, n, stage=1):
    return Draws(seed, SHUFFLE, stage << 32 | epoch).shuffle(n)


# ---- generation ----

def reply(m, ids, seed, item, max_new, temperature, top_p, stops):
    """Tokens drawn one by one, their log-probabilities, and why the reply ended."""
    cache, out, lps, text = new_cache(m), [], [], b""
    room, feed, reason = min(max_new, m.context - len(ids)), ids, None
    while reason is None:
        hidden = forward(m, [feed], [cache])[-1].n1[-1]
        x = [chain(hidden, w) for w in m.w["token_embd.weight"]]
        i, lp = sample(x, temperature, 0, top_p, False, draw(seed, TOKEN, item, len(out)))
        out.append(i)
        lps.append(lp)
        feed, text = [i], text + m.tokens[i]
        if i == m.eos:
            reason = "eos"
        elif any(s in text for s in stops):
            reason = "stop"
        elif len(out) == room:
            reason = "length"
    return out, lps, reason, text


# ---- PPO ----

def value_of(m, rows_hidden):
    return [chain(h, m.w["almost.head.weight"][0]) for h in rows_hidden]


def normalised(m, raw): return mul32(sub32(raw, m.shift), m.scale)


def clamp(x, low, high):
    x = x if less(low, x) else low
    return x if less(x, high) else high


def gae(reward, value, gamma, lam):
    gl, a, v = mul32(gamma, lam), P0, P0
    adv, ret = [], []
    for r, x in zip(reversed(reward), reversed(value)):
        delta = sub32(add32(r, mul32(gamma, v)), x)
        a, v = add32(delta, mul32(gl, a)), x
        adv.insert(0, a)
        ret.insert(0, add32(a, x))
    return adv, ret


def whiten(x, keep_mean):
    n = whole(len(x))
    mean = div64(lane8(x), n)
    x = [f32(sub64(v, mean)) for v in x]
    r = f32(div64(ONE, sqrt(add64(div64(lane8_dot(x, x), n), lit("1e-8")))))
    back = f32(mean) if keep_mean else P0
    return [add32(mul32(v, r), back) for v in x]


def token_rewards(logp, ref, beta, score):
    r = [mul32(neg(beta), sub32(a, b)) for a, b in zip(logp, ref)]
    return r[:-1] + [add32(r[-1], score)]


def policy_term(lp, old, adv, clip):
    """Loss of one action, its slope in lp, the ratio, and whether it was clipped."""
    ratio = exp(sub32(lp, old))
    inside = clamp(ratio, sub32(ONE, clip), add32(ONE, clip))
    free, cut = mul32(neg(adv), ratio), mul32(neg(adv), inside)
    clipped = less(free, cut)
    return cut if clipped else free, P0 if clipped else free, ratio, clipped


def value_term(v, old, ret, clip):
    w = clamp(v, sub32(old, clip), add32(old, clip))
    d, dw = sub32(v, ret), sub32(w, ret)
    free, cut = mul32(d, d), mul32(dw, dw)
    clipped = less(free, cut)
    return mul32((1, -1), cut if clipped else free), P0 if clipped else d, clipped


def controller(beta, kl, target, horizon, n):
    error = clamp(sub64(div64(kl, target), ONE), neg(lit("0.2")), lit("0.2"))
    return mul64(beta, add64(ONE, div64(mul64(error, whole(n)), horizon)))


def log_softmax(x, t):
    x = cool(x, t)
    m = most(x)
    e, z = exp_shift(x, m)
    log_z, r = log(f32(z)), f32(div64(ONE, z))
    return [sub32(sub32(v, m), log_z) for v in x], scale(e, r)


def logits_of(m, ids, first):
    return matmul(forward(m, [ids])[-1].n1[first:], m.w["token_embd.weight"])


class Ppo:
    """One iteration with the settings of profile trlx-hh where `c` does not say otherwise."""

    def __init__(self, policy, reward, queries, c):
        self.policy, self.ref, self.rm = policy, policy.copy(False), reward
        self.value, self.c, self.queries = reward.copy(True), c, queries
        steps = c["epochs"] * -(-c["rollouts"] // c["minibatch"])
        self.p, self.v = (Trainer(m, lit(c[lr]), steps, 0, single("1e-6"), ONE, "constant")
                          for m, lr in ((policy, "lr"), (self.value, "value_lr")))

    def rollout(self):
        c, n = self.c, len(self.queries)
        order = Draws(c["seed"], PROMPT, 0).shuffle(n)
        assert c["rollouts"] <= n
        self.episodes = []
        for i in range(c["rollouts"]):
            e = Acts()
            e.id, e.query, q = i, order[i], self.queries[order[i]]
            e.reply, e.logp, e.reason, e.text = reply(self.policy, q, c["seed"], i, c["max_new"],
                                                      single(c["temperature"]), 65536, c["stops"])
            e.ids, e.nq, e.n = q + e.reply, len(q), len(e.reply)
            self.episodes.append(e)

    def measure(self, e):
        t = single(self.c["temperature"])
        x = logits_of(self.policy, e.ids[:-1], e.nq - 1)
        y = logits_of(self.ref, e.ids[:-1], e.nq - 1)
        e.ref, e.kl, e.k3, e.kl_exact, e.entropy = [], P0, P0, P0, P0
        for i, token in enumerate(e.reply):
            lp, p = log_softmax(x[i], t)
            lq, _ = log_softmax(y[i], t)
            assert bits(lp[token]) == bits(e.logp[i])
            e.ref.append(lq[token])
            d = sub32(e.logp[i], lq[token])
            e.kl = add64(e.kl, d)
            e.k3 = add64(e.k3, add32(sub32(exp(neg(d)), ONE), d))
            e.kl_exact = add64(e.kl_exact, lane8_dot(p, [sub32(a, b) for a, b in zip(lp, lq)]))
            e.entropy = add64(e.entropy, neg(lane8_dot(p, lp)))
        h = forward(self.value, [e.ids[:-1]])[-1].n1[e.nq - 1:]
        e.value = [normalised(self.value, v) for v in value_of(self.value, h)]
        e.clipped, read = False, e.n
        if e.reason == "stop":  # the reward model reads the tokens wholly before the stop string
            cut = min(e.text.index(x) for x in self.c["stops"] if x in e.text)
            while len(b"".join(self.policy.tokens[i] for i in e.reply[:read])) > cut:
                read -= 1
        ids = e.ids[:e.nq + read]
        e.raw = value_of(self.rm, [forward(self.rm, [ids])[-1].n1[-1]])[0]
        if e.reason == "eos":
            s = normalised(self.rm, e.raw)
            e.score = clamp(s, (-10, 0), (10, 0))
            e.clipped = total(s, neg(e.score))[0] != 0
        else:
            e.score = (-1, 0)
        e.reward = token_rewards(e.logp, e.ref, single("0.05"), e.score)

    def slices(self, x):
        for e in self.episodes:
            yield e, x[:e.n]
            x = x[e.n:]

    def advantages(self):
        es = self.episodes
        if self.c["whiten_rewards"]:
            for e, x in self.slices(whiten([v for e in es for v in e.reward], True)):
                e.reward = x
        for e in es:
            e.adv, e.ret = gae(e.reward, e.value, ONE, single("0.95"))
        for e, x in self.slices(whiten([v for e in es for v in e.adv], False)):
            e.adv = x

    def describe(self):
        es, n, m = self.episodes, whole(len(self.episodes)), {}

        def mean(of):
            s = P0
            for e in es:
                s = add64(s, of(e))
            return div64(s, n)

        def surprise(e):
            s = P0
            for lp in e.logp:
                s = sub64(s, lp)
            return s
        m["objective/kl"] = mean(lambda e: e.kl)
        m["objective/kl_k3"] = mean(lambda e: e.k3)
        m["objective/kl_exact"] = mean(lambda e: e.kl_exact)
        m["objective/entropy"] = mean(surprise)
        m["objective/entropy_exact"] = mean(lambda e: e.entropy)
        m["objective/scores"] = scores = mean(lambda e: e.score)
        m["objective/score_clipfrac"] = mean(lambda e: ONE if e.clipped else P0)
        square = P0
        for e in es:
            d = sub64(e.score, scores)
            square = add64(square, mul64(d, d))
        m["objective/scores_sd"] = sqrt(div64(square, n))
        m["val/num_eos_tokens"] = whole(sum(e.reason == "eos" for e in es))
        m["val/stopped"] = whole(sum(e.reason == "stop" for e in es))
        tokens = whole(sum(e.n for e in es))
        m["val/mean_length"] = div64(tokens, n)
        ret, val = [v for e in es for v in e.ret], [v for e in es for v in e.value]

        def spread(x):
            mu = div64(lane8(x), tokens)
            x = [f32(sub64(v, mu)) for v in x]
            return lane8_dot(x, x)
        rest = spread([sub32(a, b) for a, b in zip(ret, val)])
        m["val/explained_variance"] = sub64(ONE, div64(rest, spread(ret)))
        m["kl_coef"] = lit("0.05")
        m["objective/non_score_reward"] = neg(mul64(lit("0.05"), m["objective/kl"]))
        m["objective/rlhf_reward"] = add64(scores, m["objective/non_score_reward"])
        self.metrics = m

    def policy_objective(self, e, t):
        def objective(scores, values):
            weights = []
            for s, old, adv in zip(scores, e.logp, e.adv):
                loss, slope, ratio, clipped = policy_term(s.logp, old, adv, single("0.2"))
                d = sub32(s.logp, old)
                weights.append(neg(slope))
                t.add("loss", loss)
                t.add("ratio", ratio)
                t.add("clipfrac", ONE if clipped else P0)
                t.add("approxkl", mul64((1, -1), mul64(d, d)))
                t.add("entropy", s.entropy)
            t.units += len(scores)
            return weights, []
        return objective

    def value_objective(self, e, t):
        clip, weight = single("0.2"), single("0.1")

        def objective(scores, values):
            out = []
            for raw, old, ret in zip(values, e.value, e.ret):
                v = normalised(self.value, raw)
                loss, slope, clipped = value_term(v, old, ret, clip)
                out.append(mul32(mul32(weight, slope), self.value.scale))
                t.add("loss", loss)
                t.add("clipfrac", ONE if clipped else P0)
            t.units += len(values)
            return [], out
        return objective

    def update(self):
        c, sums, steps = self.c, {}, 0

        def put(name, x):
            sums[name] = add64(sums.get(name, P0), x)
        for epoch in range(c["epochs"]):
            order = Draws(c["seed"], SHUFFLE, epoch).shuffle(len(self.episodes))
            for i in range(0, len(order), c["minibatch"]):
                batch = [self.episodes[j] for j in order[i:i + c["minibatch"]]]
                for e in batch:
                    rows = list(range(e.nq - 1, e.nq + e.n - 1))
                    self.p.note(e.id)
                    self.v.note(e.id)
                    t = single(c["temperature"])
                    sample_gradient(self.policy, self.p.grad, [e.ids], [*zip(rows, e.reply)], [],
                                    self.policy_objective(e, self.p.tally), t)
                    sample_gradient(self.value, self.v.grad, [e.ids[:-1]], [], rows,
                                    self.value_objective(e, self.v.tally))
                self.p.update()
                self.v.update()
                t, off = self.p.last, sub64(self.p.last.mean("ratio"), ONE)
                for to, name in (("loss/policy_avg", "loss"), ("policy/clipfrac_avg", "clipfrac"),
                                 ("policy/approxkl_avg", "approxkl"), ("val/ratio", "ratio"),
                                 ("policy/entropy_avg", "entropy")):
                    put(to, t.mean(name))
                put("val/ratio_var", mul64(off, off))
                put("policy/grad_norm", self.p.norm)
                put("loss/value_avg", self.v.last.mean("loss"))
                put("val/clipfrac_avg", self.v.last.mean("clipfrac"))
                put("val/grad_norm", self.v.norm)
                steps += 1
        for name in sums:
            sums[name] = div64(sums[name], whole(steps))
        off = sub64(sums["val/ratio"], ONE)
        var = sub64(sums["val/ratio_var"], mul64(off, off))
        sums["val/ratio_var"] = var if less(P0, var) else P0
        self.metrics.update(sums)
        self.metrics["lr"] = self.p.last_rate


# ---- comparing with the program ----

passed = failed = 0


def check(name, ok, why=""):
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    print(("ok   " if ok else "FAIL ") + name + ("" if ok else "  " + str(why)), flush=True)


def run(*args, **more):
    r = subprocess.run([program, *map(str, args)], capture_output=True, **more)
    if r.returncode:
        sys.exit(f"{args[0]} failed: {r.stderr.decode()}")
    return r.stdout


def number(text): return from_bits(struct.unpack("<Q", struct.pack("<d", float(text)))[0], F64)


def lines_of(path):
    """JSON lines whose floats are numbers of ours, exactly."""
    return [json.loads(s, parse_float=number) for s in open(path, encoding="utf-8")]


def same(a, b):
    a, b = ((x, 0) if isinstance(x, int) else x for x in (a, b))
    return bits(a, F64) == bits(b, F64)


def check_model(name, m, path):
    theirs, bad = load(path), []
    for n, r, c in m.table:
        pairs = zip(*((v for row in x.w[n] for v in row) if r else x.w[n] for x in (m, theirs)))
        wrong = sum(bits(a) != bits(b) for a, b in pairs)
        if wrong:
            bad.append(f"{n}: {wrong} of {r * c or c} differ")
    check(name + ": every weight", not bad, bad[:4])


def check_line(name, mine, line):
    bad = [k for k, v in mine.items()
           if not (line[k] == v if isinstance(v, str) else same(line[k], v))]
    check(name, not bad, {k: (line[k], mine[k]) for k in bad})


def check_training(name, t, metrics, ledger, path, loss_names):
    m, l = lines_of(metrics)[t.step - 1], lines_of(ledger)[t.step - 1]
    mine = {n: t.last.mean(n) for n in loss_names}
    mine["grad_norm"], mine["learning_rate"] = t.norm, t.last_rate
    check_line(f"{name}, step {t.step}: metrics", mine, m)
    check_line(f"{name}, step {t.step}: ledger", t.line, l)


# ---- the lines of `almost kat` ----

def u64s(*x): return struct.pack(f"<{len(x)}Q", *(v & (1 << 64) - 1 for v in x))
def f32s(x): return b"".join(struct.pack("<I", bits(v)) for v in x)
def f64s(*x): return u64s(*(bits(v, F64) for v in x))


def kat_floats(item, n):
    u = [draw(7, TEST, item, i) for i in range(n)]
    return [from_bits(x & 0x807FFFFF | 119 + (x >> 32) % 10 << 23) for x in u]


def kat_comb(f, low, high):
    low, high = single(low) if low[0] != "-" else neg(single(low[1:])), single(high)
    out = []
    for u in range(0, 1 << 31, 65521):
        for x in (from_bits(u), from_bits(u | 1 << 31)):
            if x is not None and not less(x, low) and not less(high, x):
                out.append(f(x))
    return f32s(out)


def kat_random():
    r = Draws(1, TEST, 2)
    first = [r.below(3 + i) for i in range(1000)]
    return u64s(*first) + u64s(*r.shuffle(100))


def kat_fma():
    out = []
    for i in range(20000):
        u, v = draw(9, TEST, 0, i), draw(9, TEST, 1, i)
        x = [from_bits(w) for w in (u & U32, u >> 32, v & U32)]
        if None not in x:
            try:
                out.append(fma(*x))
            except OverflowError:
                pass
    return f32s(out)


def kat_sums():
    out = b""
    for n in range(70):
        x, y = kat_floats(n, n), kat_floats(n + 100, n)
        out += f64s(lane8(x), lane8_dot(x, x), lane8_dot(x, y)) + f32s([most(x)])
    return out


def kat_rows():
    out = b""
    for n in range(1, 300, 37):
        x, w, dy = (kat_floats(n + k, n) for k in (0, 1000, 2000))
        dw = kat_floats(2, n)
        e, z = exp_shift(x, most(x))
        y, inv = rms(x, w, single("1e-5"))
        dx = rms_back(dy, x, w, inv, dw)
        out += f64s(z) + f32s(e) + f32s(y + dx + dw)
        y = swiglu(x, w)
        dx, dw = swiglu_back(dy, x, w)
        out += f32s(y + dx + dw)
        cs = w[:n // 2 * 2]
        out += f32s(rope(y, cs, 0) + rope(dx, cs, 1) + scale(add_rows(x, dy), inv))
    return out


def kat_fix():
    q, g = [0] * 500, [i64_fix(x) for x in kat_floats(5, 500)]
    for i in range(50):
        for j in range(450):
            q[i + j] += g[j]
    return u64s(*q) + u64s(1)  # and 2^18 is refused


def kat_products():
    out = b""
    for M, N, K in ((1, 1, 1), (1, 33, 70), (7, 31, 33), (45, 67, 129), (70, 200, 300),
                    (15, 64, 513)):
        rows = lambda x, n: [x[i:i + n] for i in range(0, len(x), n)]
        W, X = rows(kat_floats(1, N * K), K), rows(kat_floats(2, M * K), K)
        dX, dY = rows(kat_floats(4, M * K), K), rows(kat_floats(5, M * N), N)
        out += f32s([v for r in matmul(X, W) for v in r])
        Wt = columns(W)
        out += f32s([chain(dY[i], Wt[k], dX[i][k]) for i in range(M) for k in range(K)])
        Q = [[0] * K for _ in range(N)]
        for a, b in ((0, M // 3), (M // 3, M // 2), (M // 2, M)):
            if b > a:
                xs, ys = columns(X[a:b]), columns(dY[a:b])
                for n in range(N):
                    for k in range(K):
                        Q[n][k] += i64_fix(chain(xs[k], ys[n]))
        for p in range(0, N, PANEL):
            for k in range(K):
                out += u64s(*(Q[j][k] if j < N else 0 for j in range(p, p + PANEL)))
    return out


def kat_adamw():
    n = 333
    s = dict(unfix=div64((1, -32), (7, 0)), clip=(1, -1), b1=single("0.9"), nb1=single("0.1"),
             b2=single("0.95"), nb2=single("0.05"), c1=(2, 0), c2=(3, 0), lr=single("1e-3"),
             eps=single("1e-8"), wd=single("0.1"))
    w, m = kat_floats(1, n), kat_floats(2, n)
    v = [(abs(x), e) for x, e in kat_floats(3, n)]
    q = []
    for i in range(n):
        u = draw(3, TEST, 0, i)
        q.append((u - (1 << 64) if u >> 63 else u) >> 26)
    for _ in range(3):
        new = [adamw(*x, s) for x in zip(w, m, v, q)]
        w, m, v = ([x[i] for x in new] for i in range(3))
    return f32s(w + m + v) + f64s(sumsq_fix(q, s["unfix"]))


def kat_sampling():
    out = b""
    for i in range(40):
        t = single("0.7") if i % 2 else ONE
        p = top_p_units(lit("0.9")) if i % 3 else 65536
        got, lp = sample(kat_floats(300 + i, 700), t, 0 if i % 5 else 20, p, i % 7 == 6,
                         draw(1, TOKEN, i, 0))
        out += u64s(got) + f32s([lp])
    return out


def kat_schedule():
    out = b"".join(u64s(*order_of(1, epoch, 1000, 2)) for epoch in range(3))
    t = Trainer.__new__(Trainer)
    t.lr, t.lr_end, t.warmup, t.steps = lit("1e-3"), lit("1e-5"), 10, 77
    for t.schedule in ("constant", "cosine", "linear"):
        out += f64s(*(t.rate(step) for step in range(1, 81)))
    return out


def kat_sqrt():
    x = [sqrt(from_bits(u, F64)) for u in range(0, 0x7FF0000000000000, 0x7FF123456789)]
    return b"".join(f64s(v, v) for v in x)


def kat_log_softmax():
    out = b""
    for n in range(1, 800, 113):
        lp, p = log_softmax(kat_floats(n, n), single("0.7"))
        out += f32s(lp + p)
    return out


def kat_advantages():
    out, clip = b"", single("0.2")
    for n in range(1, 200, 33):
        value, adv, ret = (kat_floats(n + i, n) for i in (1, 2, 3))
        reward = token_rewards(adv, ret, single("0.05"), single("1.5"))
        adv, ret = gae(reward, value, single("0.99"), single("0.95"))
        adv = whiten(adv, n % 2 == 0)
        out += f32s(reward + adv + ret)
        for v, a, r in zip(value, adv, ret):
            out += f32s([*policy_term(v, r, a, clip)[:2], *value_term(v, a, r, clip)[:2]])
        out += f64s(controller(lit("0.05"), whole(n), (6, 0), (10000, 0), n))
    return out


def kat_edges():
    x, n = kat_floats(40, 256), 93
    tiny = lambda v, e: rnd(v[0], v[1] + e, F32) if v[0] else v
    b = [((1 << 23) - 1, -98) if j % 3 else (1, -75) for j in range(32)]
    c = [((0x400000 + j // 2) * (1 if j % 2 else -1), -149) for j in range(32)]
    out = f32s([chain([((1 << 23) + 1, -98)], [p], q) for p, q in zip(b, c)])
    b, a = [tiny(v, -70) for v in x], [tiny(v, -66) for v in x[100:108]]
    out += f32s([chain(a, b[j::32]) for j in range(32)])
    out += f32s([chain([(-1, -140)] * 8, b[j::32]) for j in range(29)])
    out += f32s([P0 if j % 2 else N0 for j in range(29, 32)])  # beyond the 29: as they were
    x = x[:n]
    wide = [tiny(v, 0 if i % 3 else 40 if i % 2 else -30) for i, v in enumerate(x)]
    out += f64s(lane8(wide), lane8_dot(wide, wide), lane8_dot(wide, x), lane8(wide[:n - 3]))
    q = [i64_fix((2 * i - n, -33 if i % 2 else -34)) for i in range(n)]
    out += u64s(*q)
    wide = [(-37, 0) if i % 11 else P0 for i in range(n)]
    out += f64s(exp_shift(wide, P0)[1])
    wide = [tiny(v, -125) for v in x]
    s = dict(unfix=(1, -60), clip=ONE, b1=single("0.9"), nb1=single("0.1"), b2=single("0.95"),
             nb2=single("0.05"), c1=ONE, c2=ONE, lr=single("1e-3"), eps=single("1e-8"),
             wd=single("0.1"))
    new = [adamw(w, m, (abs(m[0]), m[1]), k, s) for w, m, k in zip(x, wide, q)]
    out += b"".join(f32s([r[i] for r in new]) for i in range(3)) + f32s([P0, P0])
    for u in (0x41178FEB, 0x3EFD81AD, 0x46199998, 0x497FFFF0):
        v = from_bits(u)
        out += f32s([log(v), log1p(v), sin(v), cos(v)])
    return out


def kat_ties():
    x = [(-99, 0) if i < 9 else rnd(i * 7 % 5, -1, F32) for i in range(101)]
    how, out = ((0, 65536), (30, 65536), (0, 32768), (0, 58982), (30, 40000), None), b""
    for i in range(48):
        u = (0, (1 << 64) - 1, 1 << 63, 0x123456789ABCDEF0)[i % 4]
        h = how[i // 4 % 6]
        out += u64s(sample(x, ONE, *(h or (0, 65536)), h is None, u)[0])
        if i == 23:
            x[9:] = [P0 if j < 13 else single("20.8") if j == 20 else (99, 0)
                     for j in range(9, 101)]
            x[13:] = [neg(v) for v in x[13:]]
    w = [to_integer((2 * i + 1, -31), 30) for i in range(101)]
    return out + u64s(sum(w), *w)


def kat_frequencies():
    return f32s([rope_frequency((10000, 0), i, d) for d in range(8, 129, 8)
                 for i in range(d // 2)])


KAT = {"random": kat_random, "fma": kat_fma, "rope-frequencies": kat_frequencies,
       "exp": lambda: kat_comb(exp, "-100", "88"), "log": lambda: kat_comb(log, "1e-37", "3e38"),
       "log1p": lambda: kat_comb(log1p, "0", "3e38"),
       "sin": lambda: kat_comb(sin, "-1e6", "1e6"), "cos": lambda: kat_comb(cos, "-1e6", "1e6"),
       "row-sums": kat_sums, "rows": kat_rows, "fixed-point": kat_fix, "adamw": kat_adamw,
       "sampling": kat_sampling, "edges": kat_edges, "ties": kat_ties, "schedule": kat_schedule,
       "sqrt": kat_sqrt, "log-softmax": kat_log_softmax, "advantages": kat_advantages,
       "products": kat_products}


def test_kat():
    known = dict(s.split() for s in run("kat").decode().splitlines())
    for name, f in KAT.items():
        check("kat " + name, hashlib.sha256(f()).hexdigest() == known[name])


# ---- a tiny model through the stages ----

SHAPE = ("--dim", 16, "--hidden", 40, "--layers", 2, "--heads", 4, "--kv-heads", 2,
         "--vocab", 290, "--context", 64)


def path(name): return os.path.join(folder, name)


def tokens(model, text):
    return [int(x) for x in run("tokenize", path(model), input=text.encode()).split()]


def files(name):
    return ("--out", path(name + ".gguf"), "--metrics", path(name + ".metrics"),
            "--ledger", path(name + ".ledger"))


def targets_from(first, ids): return [(r - 1, ids[r]) for r in range(first, len(ids))]


def test_initial():
    run("pretrain", *SHAPE, "--tokens", 60, "--batch", 1, "--lr", 0, "--decay", 0, "--seed", 5,
        *files("init"))
    m = load(path("init.gguf"))
    m.w = {}
    m.init(5)
    check_model("initial weights", m, path("init.gguf"))
    return m


def test_pretrain():
    """Two steps of two samples, the first of them clipped; sample g is `context` tokens of the
    documents 64g, 64g+1, ... of the built-in world."""
    m = test_initial()
    run("pretrain", *SHAPE, "--tokens", 250, "--batch", 2, "--lr", "0.05", "--decay", "0.1",
        "--clip", "0.4", "--seed", 5, *files("pre"))
    info = load(path("init.gguf"))
    m.bos, m.eos = info.bos, info.eos
    t = Trainer(m, lit("0.05"), 2, 0, single("0.1"), lit("0.4"))
    for step in range(2):
        for g in (2 * step, 2 * step + 1):
            ids, doc = [], 64 * g
            while len(ids) < m.context:
                text = run("corpus", "--docs", 1, "--first", doc, "--seed", 5).decode()
                ids += [m.bos, *tokens("init.gguf", text[:text.rindex("\n\f\n")]), m.eos]
                doc += 1
            ids = ids[:m.context]
            t.note(g)
            sample_gradient(m, t.grad, [ids], targets_from(1, ids), [], nll(t.tally))
        t.update()
        check_training("pretrain", t, path("pre.metrics"), path("pre.ledger"), path("pre.gguf"),
                       ("loss", "mean_token_accuracy"))
    check_model("pretrain", m, path("pre.gguf"))


RECORDS = [("Who?", "No."), ("Is it flat?", "No. It is."), ("Why?", "Air.")]


def test_sft():
    m = load(path("pre.gguf"))
    rows = [{"input": f"\n\nHuman: {a}\n\nAssistant:", "output": " " + b} for a, b in RECORDS]
    json.dump(rows, open(path("sft.json"), "w"))
    run("sft", "--init", path("pre.gguf"), "--records", path("sft.json"), "--epochs", 4, "--batch",
        2, "--lr", "0.1", "--warmup", "0.2", "--seed", 9, *files("sft"))
    t = Trainer(m, lit("0.1"), 6, 1, P0, ONE)
    order = [i for epoch in range(4) for i in order_of(9, epoch, 3)]
    for step in range(6):
        for i in order[2 * step:2 * step + 2]:
            a = [m.bos, *tokens("pre.gguf", rows[i]["input"])]
            ids = a + [*tokens("pre.gguf", rows[i]["output"]), m.eos]
            t.note(i)
            sample_gradient(m, t.grad, [ids], targets_from(len(a), ids), [], nll(t.tally))
        t.update()
        check_training("sft", t, path("sft.metrics"), path("sft.ledger"), path("sft.gguf"),
                       ("loss", "mean_token_accuracy"))
    check_model("sft", m, path("sft.gguf"))


def test_reward():
    m = load(path("sft.gguf"))
    bos, eos = m.bos, m.eos
    rows = [{"prompt": a, "chosen": b, "rejected": "Yes, " + a} for a, b in RECORDS[:2]]
    json.dump(rows, open(path("pairs.json"), "w"))
    run("rm", "--init", path("sft.gguf"), "--pairs", path("pairs.json"), "--batch", 2, "--lr",
        "0.2", "--seed", 3, *files("rm"))
    m = m.copy(True)
    m.init_head(3)
    t = Trainer(m, lit("0.2"), 1, 0, single("0.1"), ONE)
    for i in order_of(3, 0, 2):
        front = [bos, *tokens("sft.gguf", f"\n\nHuman: {rows[i]['prompt']}\n\nAssistant:")]
        two = [front + [*tokens("sft.gguf", " " + rows[i][k]), eos] for k in ("chosen", "rejected")]
        t.note(i)
        ends = [len(two[0]) - 1, len(two[0]) + len(two[1]) - 1]
        sample_gradient(m, t.grad, two, [], ends, pair(t.tally))
    t.update()
    check_training("rm", t, path("rm.metrics"), path("rm.ledger"), path("rm.gguf"),
                   ("loss", "rewards/accuracies", "rewards/margins", "rewards/chosen",
                    "rewards/rejected"))
    check_model("rm", m, path("rm.gguf"))


def test_dpo():
    m = load(path("sft.gguf"))
    bos, eos = m.bos, m.eos
    rows = [{"prompt": a, "chosen": b, "rejected": "Yes, " + a} for a, b in RECORDS[:2]]
    json.dump(rows, open(path("pairs.json"), "w"))
    run("dpo", "--init", path("sft.gguf"), "--pairs", path("pairs.json"), "--batch", 2, "--lr",
        "0.05", "--epochs", 2, "--beta", "0.3", "--seed", 3, *files("dpo"))
    pairs = []
    for row in rows:
        front = [bos, *tokens("sft.gguf", f"\n\nHuman: {row['prompt']}\n\nAssistant:")]
        two = [front + [*tokens("sft.gguf", " " + row[k]), eos] for k in ("chosen", "rejected")]
        targets, at, sums = [], 0, []
        for ids in two:
            mine = [(at + r, token) for r, token in targets_from(len(front), ids)]
            logits = logits_of(m, ids, 0)
            lp = P0
            for r, token in mine:
                lp = add64(lp, f64(logprob(logits[r - at], token, ONE).logp))
            targets, at, sums = targets + mine, at + len(ids), sums + [lp]
        pairs.append((two, targets, len(two[0]) - len(front), sums))
    t = Trainer(m, lit("0.05"), 2, 0, P0, ONE)
    for epoch in range(2):
        for i in order_of(3, epoch, 2):
            two, targets, first, sums = pairs[i]
            t.note(i)
            sample_gradient(m, t.grad, two, targets, [],
                            preference(t.tally, single("0.3"), first, sums))
        t.update()
        check_training("dpo", t, path("dpo.metrics"), path("dpo.ledger"), path("dpo.gguf"),
                       ("loss", "rewards/accuracies", "rewards/margins", "rewards/chosen",
                        "rewards/rejected", "logps/chosen", "logps/rejected"))
    check_model("dpo", m, path("dpo.gguf"))


def test_generation():
    """Logits of a sequence in one piece, then replies drawn token by token."""
    m = load(path("sft.gguf"))
    ids = [m.bos, *tokens("sft.gguf", "\n\nHuman: Who?\n\nAssistant:")]
    run("logits", path("sft.gguf"), "--ids", " ".join(map(str, ids)), "--out", path("logits"))
    mine = f32s([v for r in logits_of(m, ids, 0) for v in r])
    check("logits", mine == open(path("logits"), "rb").read())
    for seed, t, p in ((1, "1", "1"), (2, "0.7", "0.9")):
        got = run("generate", path("sft.gguf"), "--prompt", "\n\nHuman: Who?\n\nAssistant:",
                  "--temperature", t, "--top-p", p, "--max-new", 12, "--seed", seed)
        units = 65536 if p == "1" else top_p_units(lit(p))
        _, _, _, text = reply(m, ids, seed, 0, 12, single(t), units, [])
        check(f"generate, temperature {t}, top-p {p}", got == text + b"\n", (got, text))


def test_ppo():
    c = dict(rollouts=3, minibatch=2, epochs=2, max_new=8, seed=4, lr="0.003", value_lr="0.01",
             temperature="0.8", whiten_rewards=1, stops=(b"\n\nHuman:", b"\n\n-----"))
    queries = [a for a, _ in RECORDS]
    json.dump({"temperature": 0.8, "whiten_rewards": 1}, open(path("settings.json"), "w"))
    open(path("prompts.txt"), "w").write("".join(q + "\n" for q in queries))
    run("ppo", "--policy", path("sft.gguf"), "--rm", path("rm.gguf"), "--prompts",
        path("prompts.txt"), "--reference", path("sft.json"), "--settings", path("settings.json"),
        "--episodes", 3, "--rollouts", 3, "--minibatch", 2, "--epochs", 2, "--max-new", 8,
        "--lr", "0.003", "--value-lr", "0.01", "--seed", 4, "--rollout-dir", path("rollouts"),
        "--metrics", path("ppo.metrics"), "--out", path("ppo.gguf"))
    policy, rm = load(path("sft.gguf")), load(path("rm.gguf"))
    rm.bos, rm.eos = policy.bos, policy.eos
    read = [[rm.bos, *tokens("sft.gguf", f"\n\nHuman: {a}\n\nAssistant:"),
             *tokens("sft.gguf", " " + b), rm.eos] for a, b in RECORDS]
    raw = [value_of(rm, [forward(rm, [ids])[-1].n1[-1]])[0] for ids in read]
    mean = div64(lane8(raw), whole(len(raw)))
    rm.shift = f32(mean)
    raw = [f32(sub64(x, mean)) for x in raw]
    rm.scale = f32(div64(ONE, sqrt(div64(lane8_dot(raw, raw), whole(len(raw))))))
    p = Ppo(policy, rm, [[policy.bos, *tokens("sft.gguf", f"\n\nHuman: {q}\n\nAssistant:")]
                         for q in queries], c)
    p.rollout()
    rows = lines_of(path("rollouts/000001.jsonl"))
    for e, row in zip(p.episodes, rows):
        check(f"ppo, episode {e.id}: query, ids, reason", row["ids"] == e.reply and
              row["query"] == e.query and row["reason"] == e.reason, row)
        p.measure(e)
        row["score"], row["raw"] = f32(row["score"]), f32(row["raw"])  # decimals of binary32
        check_line(f"ppo, episode {e.id}: score and KL", {"score": e.score, "raw": e.raw,
                   "kl": e.kl, "kl_exact": e.kl_exact}, row)
    p.advantages()
    p.describe()
    p.update()
    line = lines_of(path("ppo.metrics"))[-1]
    check("ppo: no measure is left out", set(line) - set(p.metrics) <= {"iteration", "episode"},
          set(line) - set(p.metrics))
    check_line("ppo: metrics of the iteration", p.metrics, line)
    check_model("ppo: policy", policy, path("ppo.gguf"))


TESTS = {"kat": test_kat, "pretrain": test_pretrain, "sft": test_sft, "reward": test_reward,
         "dpo": test_dpo, "generation": test_generation, "ppo": test_ppo}


if __name__ == "__main__":
    args, only = sys.argv[1:], None
    if "--only" in args:
        at = args.index("--only")
        only = args[at + 1].split(",")
        del args[at:at + 2]
    program = os.path.abspath(args[0] if args else "./almost")
    with tempfile.TemporaryDirectory() as folder:
        for name, test in TESTS.items():
            if not only or name in only:
                test()
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed != 0)
