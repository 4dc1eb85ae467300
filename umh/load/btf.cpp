// SPDX-License-Identifier: GPL-2.0
#include "umh/load/btf.h"

#include <algorithm>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

namespace bpfilter {

namespace {

constexpr std::uint32_t line_number_max = (1U << 22) - 1; // bits in bpf_line_info.line_col
constexpr std::uint32_t line_column_bits = 10;

struct BtfFree {
    void operator()(btf *blob) const { btf__free(blob); }
};
using BtfPointer = std::unique_ptr<btf, BtfFree>;

// Arguments are numbers for a global function, which the verifier checks against this; for
// others the type says nothing that anyone reads.
int add_function(btf *blob, int number, const codegen::Function &function)
{
    int proto = btf__add_func_proto(blob, number);
    for (std::uint32_t i = 0; proto > 0 && i < function.arguments; ++i) {
        const std::string name = "a" + std::to_string(i + 1);
        if (const int error = btf__add_func_param(blob, name.c_str(), number); error < 0)
            return error;
    }
    if (proto < 0)
        return proto;
    return btf__add_func(blob, function.name.c_str(),
                         function.global ? BTF_FUNC_GLOBAL : BTF_FUNC_STATIC, proto);
}

int add_functions(btf *blob, const codegen::Program &program, ProgramBtf &result)
{
    const int number = btf__add_int(blob, "int", sizeof(int), BTF_INT_SIGNED);
    if (number < 0)
        return number;
    for (const codegen::Function &function : program.functions) {
        const int type = add_function(blob, number, function);
        if (type < 0)
            return type;
        result.functions.push_back(bpf_func_info{function.insn, static_cast<__u32>(type)});
    }
    return 0;
}

int add_lines(btf *blob, const codegen::Program &program, ProgramBtf &result)
{
    const int source = btf__add_str(blob, program.source.c_str());
    if (source < 0)
        return source;
    for (const codegen::Line &line : program.lines) {
        const int text = btf__add_str(blob, line.text.c_str());
        if (text < 0)
            return text;
        const std::uint32_t number = std::min(line.number, line_number_max);
        result.lines.push_back(bpf_line_info{line.insn, static_cast<__u32>(source),
                                             static_cast<__u32>(text), number << line_column_bits});
    }
    return 0;
}

} // namespace

Result<ProgramBtf> load_btf(const codegen::Program &program)
{
    ProgramBtf result;
    const BtfPointer blob(btf__new_empty());
    if (!blob)
        return fail(ENOMEM, "no memory for BTF");
    int error = add_functions(blob.get(), program, result);
    if (error >= 0)
        error = add_lines(blob.get(), program, result);
    std::uint32_t size = 0;
    const void *data = error < 0 ? nullptr : btf__raw_data(blob.get(), &size);
    if (data == nullptr)
        return fail(ENOMEM, "cannot make BTF for " + program.name + ": " + std::strerror(-error));
    result.fd.reset(bpf_btf_load(data, size, nullptr));
    if (!result.fd) {
        const int code = errno;
        const bool short_of = code == ENOMEM || code == EMFILE || code == ENFILE;
        return fail(short_of        ? ENOMEM
                    : code == EPERM ? EPERM
                                    : EIO,
                    "cannot load BTF for " + program.name + ": " + std::strerror(code));
    }
    return result;
}

} // namespace bpfilter
