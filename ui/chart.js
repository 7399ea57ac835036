// The parts of ECharts that Wattle draws with, behind two functions.
import { getInstanceByDom, init, use } from 'echarts/core';
import { BarChart, LineChart } from 'echarts/charts';
import { GridComponent, MarkAreaComponent } from 'echarts/components';
import { CanvasRenderer } from 'echarts/renderers';

use([BarChart, CanvasRenderer, GridComponent, LineChart, MarkAreaComponent]);

// Thin slanted lines of a colour: measured in part.
function hatched(colour) {
  const image = document.createElement('canvas');
  image.width = image.height = 8;
  const pen = image.getContext('2d');
  pen.strokeStyle = colour;
  pen.lineWidth = 2;
  for (const shift of [-8, 0, 8]) {
    pen.moveTo(shift - 1, 9);
    pen.lineTo(shift + 9, -1);
  }
  pen.stroke();
  return { type: 'pattern', image, repeat: 'repeat' };
}

// A text that names a colour of the style sheet becomes that colour, so charts follow light and dark.
function coloured(value, style) {
  if (typeof value === 'string') {
    if (value.startsWith('hatch--')) return hatched(coloured(value.slice(5), style));
    return value.startsWith('--') ? style.getPropertyValue(value).trim() : value;
  }
  if (Array.isArray(value)) return value.map((each) => coloured(each, style));
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, coloured(each, style)]));
  }
  return value;
}

export function draw(element, text, chosen) {
  let chart = getInstanceByDom(element);
  if (!chart) {
    chart = init(element, null, { renderer: 'canvas' });
    new ResizeObserver(() => chart.resize()).observe(element);
    const point = (event) => {
      const place = chart.convertFromPixel({ gridIndex: 0 }, [event.offsetX, event.offsetY]);
      if (place) chosen(Math.round(place[0]));
    };
    chart.getZr().on('click', point);
    chart.getZr().on('mousemove', point);
  }
  const option = coloured(JSON.parse(text), getComputedStyle(document.documentElement));
  // Below the line is an amount too: place tells the direction, not a sign.
  const language = document.documentElement.lang;
  for (const axis of [option.yAxis].flat()) axis.axisLabel.formatter = (value) => Math.abs(value).toLocaleString(language);
  chart.setOption(option, { notMerge: true });
}
