// Numbers of type VALUE or OUT from and to sums of type TOTAL: what is __half is summed in float.
//
// Macros: TOTAL; HALF, if something is __half.

#if HALF
#include <cuda_fp16.h>

__device__ __forceinline__ float widened(__half a)
{
    return __half2float(a);
}

__device__ __forceinline__ void put(__half* at, float a)
{
    *at = __float2half_rn(a);
}
#endif

__device__ __forceinline__ TOTAL widened(TOTAL a)
{
    return a;
}

__device__ __forceinline__ void put(TOTAL* at, TOTAL a)
{
    *at = a;
}
