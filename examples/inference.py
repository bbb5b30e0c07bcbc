"""Photographs through a convolutional network to a table of its best answers, the way a deployed model runs.

    photograph -> fastact.preprocess.image_to_tensor -> ONNX model, run by onnxruntime -> fastact.softmax -> top 5

The model is made here and knows nothing but colours: its labels are fifteen names of colours, and its answer is which
part of the photograph each takes up. Its weights are not trained but follow from that:

- Which of the colours c is nearest to a pixel p? |p - c|**2 = p.p - 2*p.c + c.c: the one with the largest 2*p.c - c.c.
  That is a convolution of size 1 with weights 2*c and bias -c.c.
- A softmax over the colours, sharpened, makes it nearly 1 for the nearest and nearly 0 for the others.
- Its mean over all pixels is the part of the photograph; the logarithm of that makes logits of it.
"""

import numpy as np

import fastact
from fastact.preprocess import image_to_tensor

# The statistics that photographs are usually normalized by, red, green and blue.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE = 224
SHARPNESS = 60.0

COLOURS = {
    "black": (0, 0, 0),
    "dark grey": (70, 70, 70),
    "grey": (128, 128, 128),
    "light grey": (190, 190, 190),
    "white": (255, 255, 255),
    "brown": (110, 70, 35),
    "red": (200, 30, 30),
    "pink": (240, 150, 170),
    "orange": (240, 130, 30),
    "yellow": (240, 220, 60),
    "olive": (115, 115, 40),
    "dark green": (30, 70, 25),
    "green": (60, 150, 50),
    "sky blue": (140, 190, 230),
    "blue": (40, 70, 170),
}


def colour_model():
    """Return the model as the bytes of an .onnx file: tensors (N, 3, H, W) in, logits (N, colours) out."""
    from onnx import TensorProto, helper, numpy_helper

    # A pixel comes in as (p - MEAN)/STD. That it is p = x*STD + MEAN goes into the weights.
    colours = np.array(list(COLOURS.values())) / 255
    weights = SHARPNESS * 2 * colours * STD
    bias = SHARPNESS * (2 * colours @ MEAN - (colours**2).sum(axis=1))
    constants = {"weights": weights[:, :, None, None], "bias": bias, "least": np.array(1e-6)}

    nodes = [
        helper.make_node("Conv", ["pixels", "weights", "bias"], ["nearness"]),
        helper.make_node("Softmax", ["nearness"], ["nearest"], axis=1),
        helper.make_node("GlobalAveragePool", ["nearest"], ["part"]),
        helper.make_node("Flatten", ["part"], ["parts"]),
        helper.make_node("Max", ["parts", "least"], ["positive"]),
        helper.make_node("Log", ["positive"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(COLOURS)])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def photographs():
    """Return scikit-learn's two sample photographs, cropped to squares from their middle: views, nothing is copied."""
    from sklearn.datasets import load_sample_images

    samples = load_sample_images()
    names = [name.rsplit("/")[-1] for name in samples.filenames]
    return dict(zip(names, map(middle, samples.images), strict=True))


def middle(image):
    height, width, _ = image.shape
    top, left = (height - SIDE) // 2, (width - SIDE) // 2
    return image[top : top + SIDE, left : left + SIDE]


def tensor_of(images):
    """Return (N, 3, H, W) float32 for a sequence of views of photographs, normalized."""
    pixels = np.empty((len(images), 3, SIDE, SIDE), np.float32)
    for image, tensor in zip(images, pixels, strict=True):
        image_to_tensor(image, MEAN, STD, out=tensor)
    return pixels


def top(logits, count=5):
    """Return the names of the most probable labels of one photograph, with their probabilities."""
    probabilities = fastact.softmax(logits)
    best = np.argsort(probabilities)[::-1][:count]
    labels = list(COLOURS)
    return [(labels[index], float(probabilities[index])) for index in best]


def session_of(model):
    """Return a model ready to run."""
    import onnxruntime

    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def main():
    images = photographs()
    session = session_of(colour_model())
    (logits,) = session.run(None, {"pixels": tensor_of(list(images.values()))})
    print(
        "The model is made by this example and knows 15 colours; what it gives is the part of the photograph in each."
    )
    for name, answer in zip(images, logits, strict=True):
        print(f"\n{name}")
        for rank, (label, probability) in enumerate(top(answer), start=1):
            print(f"  {rank}. {label:<12}{probability:>7.1%}")


if __name__ == "__main__":
    main()
