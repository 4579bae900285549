// The numbers that path sums are made of: floats, or floats with a power of two beside them.
//
// Macros: VALUE, the type of the entries; SUM, float or double; SCALED, 0 or 1 (then SUM is double); POWER, what an
// entry w becomes: 0: w; 1, 2, 4: abs(w)**POWER; 3: abs(w)**q; 5: abs(w), and sums become maxima.
//
// A scaled number (m, e) stands for m 2**e, with abs(m) in [1/2, 1) or m = 0: sixteen bytes, as NumPy's SCALED_DTYPE.

#define LOST 1       // a float came near the ends of its range: use scaled numbers
#define INVALID 2    // a number of the caller is not finite, or negative where it must not be
#define TOO_LARGE 4  // a result lies beyond the range of floats

#if SCALED
struct alignas(16) Number {
    double m;
    long long e;
};
#else
typedef SUM Number;
#endif

// The smallest normal number, and a quarter of the largest: room for one more operation.
template <typename T> struct Range;
template <> struct Range<float> { static constexpr float tiny = 0x1p-126f, top = 0x1p126f; };
template <> struct Range<double> { static constexpr double tiny = 0x1p-1022, top = 0x1p1022; };
#define TINY (Range<SUM>::tiny)
#define TOP (Range<SUM>::top)

#if SCALED

__device__ __forceinline__ Number normalized(double m, long long e)
{
    int shift;
    const double fraction = frexp(m, &shift);
    return {fraction, fraction == 0 ? 0 : e + shift};
}

__device__ __forceinline__ Number zero()
{
    return {0.0, 0};
}

__device__ __forceinline__ Number one()
{
    return {0.5, 1};
}

// abs(w)**q, or w itself with POWER 0: the power of the fraction times that of the power of two.
__device__ __forceinline__ Number value(double w, SUM q)
{
    const Number split = normalized(w, 0);
#if POWER == 0
    return split;
#elif POWER == 1 || POWER == 5
    return {fabs(split.m), split.e};
#else
    if (split.m == 0)
        return zero();
    const double shift = q * double(split.e);
    const double whole = floor(shift);
    if (q <= 512)
        return normalized(pow(fabs(split.m), q) * exp2(shift - whole), (long long)whole);
    const double bits = q * log2(fabs(split.m));  // the power of the fraction itself could vanish
    const double part = (bits - floor(bits)) + (shift - whole);
    return normalized(exp2(part), (long long)(whole + floor(bits)));
#endif
}

__device__ __forceinline__ Number multiply(Number a, Number b)
{
    return normalized(a.m * b.m, a.e + b.e);
}

__device__ __forceinline__ Number add(Number a, Number b)
{
    if (b.m == 0)
        return a;
    if (a.m == 0)
        return b;
    const bool is_swapped = a.e < b.e;
    const Number high = is_swapped ? b : a, low = is_swapped ? a : b;
    const long long gap = high.e - low.e;
#if POWER == 5
    if (gap > 0)
        return high;
    return high.m < low.m ? low : high;
#else
    if (gap > 1100)
        return high;
    return normalized(high.m + ldexp(low.m, -int(gap)), high.e);
#endif
}

__device__ __forceinline__ Number from_lane(Number a, int offset)
{
    return {__shfl_xor_sync(0xffffffffu, a.m, offset), __shfl_xor_sync(0xffffffffu, a.e, offset)};
}

__device__ __forceinline__ Number term(VALUE w, Number x, SUM q, int& found)
{
    return multiply(value(w, q), x);
}

__device__ __forceinline__ int ends_of_range(Number total)
{
    return total.m - total.m == 0 ? 0 : LOST;
}

__device__ __forceinline__ double narrow(Number a)
{
    return ldexp(a.m, int(a.e < -2000 ? -2000 : a.e > 2000 ? 2000 : a.e));
}

#else

__device__ __forceinline__ Number zero()
{
    return 0;
}

__device__ __forceinline__ Number one()
{
    return 1;
}

__device__ __forceinline__ Number value(SUM w, SUM q)
{
#if POWER == 0
    return w;
#elif POWER == 1 || POWER == 5
    return fabs(w);
#elif POWER == 2
    return w * w;
#elif POWER == 4
    return (w * w) * (w * w);
#else
    return pow(fabs(w), q);
#endif
}

__device__ __forceinline__ Number add(Number a, Number b)
{
#if POWER == 5
    return a < b ? b : a;
#else
    return a + b;
#endif
}

__device__ __forceinline__ Number from_lane(Number a, int offset)
{
    return __shfl_xor_sync(0xffffffffu, a, offset);
}

// A product of which no factor is zero must be a normal number, or something may have vanished.
__device__ __forceinline__ Number multiply(Number a, Number b, int& found)
{
    const Number product = a * b;
    if (fabs(product) < TINY && a != 0 && b != 0)
        found |= LOST;
    return product;
}

__device__ __forceinline__ Number term(VALUE w, Number x, SUM q, int& found)
{
    const Number factor = value(SUM(w), q), product = factor * x;
    if ((fabs(factor) < TINY || fabs(product) < TINY) && w != 0 && x != 0)
        found |= LOST;
    return product;
}

__device__ __forceinline__ int ends_of_range(Number total)
{
    return fabs(total) <= TOP ? 0 : LOST;
}

__device__ __forceinline__ double narrow(Number a)
{
    return a;
}

#endif
