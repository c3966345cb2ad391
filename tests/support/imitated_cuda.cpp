// The part of an imitated CUDA device that PyTorch's CPU build asks in C++.
//
// Autograd and the tensors themselves look for a guard and for hooks of the device
// type. These know of one device, one stream, and no work that is ever waited for.
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

namespace {
using c10::Device;
using c10::DeviceIndex;
using c10::DeviceType;
using c10::Stream;

const Device the_device(DeviceType::CUDA, 0);
const Stream the_stream(Stream::DEFAULT, the_device);

struct ImitatedGuard final : c10::impl::DeviceGuardImplInterface {
  DeviceType type() const override { return DeviceType::CUDA; }
  DeviceIndex deviceCount() const noexcept override { return 1; }
  Device getDevice() const override { return the_device; }
  Device exchangeDevice(Device) const override { return the_device; }
  void setDevice(Device) const override {}
  void uncheckedSetDevice(Device) const noexcept override {}
  Stream getStream(Device) const override { return the_stream; }
  Stream getDefaultStream(Device) const override { return the_stream; }
  Stream getStreamFromGlobalPool(Device, bool) const override { return the_stream; }
  Stream getNewStream(Device, int) const override { return the_stream; }
  Stream exchangeStream(Stream) const override { return the_stream; }
  bool queryStream(const Stream&) const override { return true; }
  void synchronizeStream(const Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void block(void*, const Stream&) const override {}
  void record(void**, const Stream&, const DeviceIndex, const c10::EventFlag)
      const override {}
};
} // namespace

namespace c10::impl {
C10_REGISTER_GUARD_IMPL(CUDA, ImitatedGuard)
}

namespace at {
// The registry looks for a class of this name in this namespace.
struct CUDAHooks : CUDAHooksInterface {
  CUDAHooks(CUDAHooksArgs) {}
  void init() const override {}
  bool hasCUDA() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  DeviceIndex deviceCount() const override { return 1; }
  DeviceIndex getCurrentDevice() const override { return 0; }
};
REGISTER_CUDA_HOOKS(CUDAHooks)
} // namespace at
