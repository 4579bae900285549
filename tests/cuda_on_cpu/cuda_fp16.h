// Half precision: what the kernels use of CUDA's header of this name.

#pragma once

using __half = _Float16;

inline float __half2float(__half a)
{
    return float(a);
}

inline __half __float2half_rn(float a)
{
    return __half(a);
}
