# almost: `make` builds the program, `make reproduce` runs the paper, `make test` the tests.

# ---- yours to set ----------------------------------------------------------
CC      ?= cc
CFLAGS  ?= -O2
PREFIX  ?= /usr/local
PRESET  ?= mini
RUN     ?= run-$(PRESET)

# ---- ours: what the bits rest on (no -march: kernels are chosen at run time) ----
STRICT   = -std=c11 -ffp-contract=off -fno-fast-math
WARN     = -Wall -Wextra -Wpedantic -Wshadow
ALL_C    = $(STRICT) $(WARN) $(CFLAGS)
LIBS     = -lpthread
SOURCES  = almost.c almost.h
TESTS    = $(wildcard tests/*.c tests/*.h)

# ---- build -----------------------------------------------------------------
.PHONY: all lib one test test-all asan prove peers style reproduce publish install clean help

all: almost

almost: $(SOURCES)
	$(CC) $(ALL_C) -DALMOST_MAIN almost.c -o $@ -static $(LDFLAGS) $(LIBS)

lib: libalmost.a

libalmost.a: $(SOURCES)
	$(CC) $(ALL_C) -c almost.c -o almost.o
	$(AR) rcs $@ almost.o

one: build/one.c

build/one.c: $(SOURCES)
	@mkdir -p build
	{ echo '#define _POSIX_C_SOURCE 200809L'; cat almost.h almost.c; } > $@

# ---- the main job ----------------------------------------------------------
reproduce: almost
	./almost reproduce --preset $(PRESET) --out $(RUN) --resume

# Makes the digests of this run the published ones (data/PRESET.sha256).
publish: almost
	./almost reproduce --preset $(PRESET) --out $(RUN) --publish

# ---- tests -----------------------------------------------------------------
build/almost_test: $(SOURCES) $(TESTS)
	@mkdir -p build
	$(CC) $(ALL_C) -Wno-unused-function -Itests tests/almost_test.c -o $@ $(LDFLAGS) $(LIBS)

build/fuzz: $(SOURCES) tests/fuzz.c tests/test.h
	@mkdir -p build
	$(CC) $(ALL_C) -Wno-unused-function -Itests tests/fuzz.c -o $@ $(LDFLAGS) $(LIBS)

test: almost build/almost_test build/fuzz
	sh tests/test.sh

test-all: almost build/almost_test build/fuzz
	sh tests/test-all.sh

asan: $(SOURCES) $(TESTS)
	@mkdir -p build
	$(CC) $(STRICT) $(WARN) -Wno-unused-function -g -O1 -fsanitize=address,undefined \
	    -fno-sanitize-recover=all -Itests tests/almost_test.c -o build/almost_asan $(LIBS)
	build/almost_asan

prove: tests/prove.c tests/triples.h $(SOURCES)
	@mkdir -p build
	$(CC) $(STRICT) -O2 -Itests tests/prove.c -o build/prove $(LIBS)
	build/prove

# Speeds beside other programs; LLAMA=FOLDER with llama.cpp's programs adds its rows.
peers: almost
	sh tests/peers.sh $(LLAMA)

style:
	sh tests/style.sh

# ---- the rest --------------------------------------------------------------
install: almost
	mkdir -p $(DESTDIR)$(PREFIX)/bin
	cp almost $(DESTDIR)$(PREFIX)/bin/almost

clean:
	rm -rf almost almost.o libalmost.a build

help:
	@echo "make             the program ./almost (static)"
	@echo "make reproduce   the whole paper; PRESET=smoke for a minute's run"
	@echo "make test        quick tests;  make test-all  the long matrix"
	@echo "make asan prove peers style lib one install clean"
