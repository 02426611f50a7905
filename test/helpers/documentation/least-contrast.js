/**
 * Runs in a page and finds its text with the least contrast, as WCAG 2 defines it: from 1 to 21. The file is one expression, whose
 * value is the result.
 */
(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });

  function rgba(colour) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].map((value) => value / 255);
  }

  function over(front, back) {
    return back.map((value, index) => (index === 3 ? 1 : front[index] * front[3] + value * (1 - front[3])));
  }

  function background(element) {
    if (element === null) return rgba('Canvas');
    return over(rgba(getComputedStyle(element).backgroundColor), background(element.parentElement));
  }

  function luminance(colour) {
    const [red, green, blue] = colour.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }

  let least = { ratio: 21, text: '' };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    const text = node.textContent.trim();
    if (text === '' || !element.checkVisibility()) continue;
    const back = background(element);
    const levels = [luminance(over(rgba(getComputedStyle(element).color), back)), luminance(back)];
    const ratio = (Math.max(...levels) + 0.05) / (Math.min(...levels) + 0.05);
    if (ratio < least.ratio) least = { ratio, text: text.slice(0, 80) };
  }
  return { ...least, brightness: luminance(background(document.body)) };
})();
